import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { Clusters, KubernetesError } from '../src/activities/kubernetes/api.ts';
import { notStarted, runInContainer } from '../src/activities/kubernetes/exec.ts';
import { targetOf } from '../src/activities/kubernetes/objects.ts';
import { backUpState } from '../src/activities/kubernetes/stateful-set/back-up-state.ts';
import type { BackupMandate } from '../src/activities/kubernetes/stateful-set/stateful-set-change.ts';
import { TestCluster } from './support/cluster.ts';
import { eventually } from './support/eventually.ts';
import { mandateFor } from './support/mandates.ts';
import { silentProgress } from './support/silent-progress.ts';
import { StatefulSets, v1 } from './support/stateful-sets.ts';

const cluster = new TestCluster(`test-${randomBytes(4).toString('hex')}`);
const sets = new StatefulSets(() => cluster);
const clusters = new Clusters();
const { signal: never } = new AbortController();

beforeAll(async () => {
  await execa('kubectl', ['create', 'namespace', cluster.namespace]);
});
afterAll(() => execa('kubectl', ['delete', 'namespace', '--wait=false', cluster.namespace]));

/** Makes a StatefulSet of one pod, and what an attempt to back it up takes. */
async function make(name: string): Promise<{ pod: string; mandate: BackupMandate }> {
  await sets.history(name, [v1], { replicas: 1 });
  const target = targetOf('statefulset', clusters.of(undefined), await sets.get(name));
  const pod = `${name}-0`;
  return {
    pod,
    mandate: mandateFor({
      ...{ id: `backup/${pod}`, kind: 'statefulset/backup', target, before: {} },
      after: { pod, container: 'store', data: '/data', folder: '/backup' },
    }),
  };
}

const attempt = (mandate: BackupMandate, signal = never, told: string[] = []) =>
  backUpState(clusters, mandate, {
    ...silentProgress(),
    report: (text) => told.push(text),
    cancelled: signal,
  });

describe('an archive of the state', () => {
  test.concurrent(
    'that an earlier attempt completed is used, if it still is what it was',
    async () => {
      const { pod, mandate } = await make('again');
      const { text } = await attempt(mandate);
      const [archive = ''] = await sets.archives(pod);
      const changedAt = () => sets.exec(pod, 'stat', '-c', '%Y.%y', `/backup/${archive}`);
      const first = await changedAt();

      expect((await attempt(mandate)).text).toBe(text.replace(', 1 file.', '.'));
      expect(await changedAt()).toBe(first);

      await sets.exec(pod, 'truncate', '-s', '40', `/backup/${archive}`);
      expect((await attempt(mandate)).text).toBe(text);
      expect(await sets.archives(pod)).toEqual([archive]);
      await sets.exec(pod, 'tar', '-tzf', `/backup/${archive}`);
    },
  );

  test.concurrent(
    'never is what a killed attempt has left, which may still be growing',
    async () => {
      const { pod, mandate } = await make('killed');
      await sets.exec(pod, 'dd', 'if=/dev/urandom', 'of=/tmp/rollback-large', 'bs=1M', 'count=48');
      await sets.exec(pod, 'mv', '/tmp/rollback-large', '/data/large');
      const killed = new AbortController();
      const told: string[] = [];
      const first = attempt(mandate, killed.signal, told);
      const partials = async () =>
        (await sets.archives(pod)).filter((it) => it.includes('.partial-'));
      const [partial = ''] = await eventually('it is being written', async () => {
        const found = await partials().catch(() => []);
        return found.length > 0 && found;
      });
      killed.abort();
      await expect(first).rejects.toThrow();

      const { text } = await attempt(mandate, never, told);

      expect(text).toContain(', 2 files.');
      const [archive = '', ...others] = await sets.archives(pod);
      expect(others).toEqual([]);
      expect(archive).not.toContain(partial);
      await sets.exec(pod, 'tar', '-tzf', `/backup/${archive}`);
      expect(told.join('\n')).toMatch(/[\d,]+ bytes archived/);
    },
  );

  test.concurrent('that would have no file in it is none', async () => {
    const { pod, mandate } = await make('nothing');
    await sets.exec(pod, 'rm', '/data/state');
    await sets.exec(pod, 'mkdir', '/data/folder');

    await expect(attempt(mandate)).rejects.toThrow('has no file in it, so it is no backup');
    expect(await sets.archives(pod)).toEqual([]);
  });

  test.concurrent('that lacks something is none, and tar says what', async () => {
    const { pod, mandate } = await make('lacking');
    const { change } = mandate;
    const after = { ...change.after, data: '/data:/data/lost' };

    await expect(attempt({ ...mandate, change: { ...change, after } })).rejects.toThrow(
      /^tar in pod lacking-0, container store, ended with 2 \(.*lost: Cannot stat: No such file.*not archived\.$/,
    );
    expect(await sets.archives(pod)).toEqual([]);
  });
});

describe('a command in a container', () => {
  test.concurrent('tells how it ended, or why it was not begun', async () => {
    const { pod } = await make('told');
    const where = { namespace: cluster.namespace, pod, container: 'store' };
    const run = (...command: string[]) =>
      runInContainer(clusters.of(undefined), where, command, never);

    expect(await run('sh', '-c', 'echo out; echo err >&2; exit 3')).toEqual({
      ...{ exitCode: 3, stdout: 'out\n', stderr: 'err\n' },
    });
    expect(await run('printf', '%s', '$(touch /tmp/hacked); a  b')).toMatchObject({
      ...{ exitCode: 0, stdout: '$(touch /tmp/hacked); a  b' },
    });
    expect((await run('no-such-program')).exitCode).toBe(notStarted);
    const many = await run('seq', '1', '100000');
    expect(many.stdout).toHaveLength(65_536);

    const elsewhere = (other: object) =>
      runInContainer(clusters.of(undefined), { ...where, ...other }, ['true'], never);
    await expect(elsewhere({ pod: 'gone' })).rejects.toMatchObject({ status: 404 });
    await expect(elsewhere({ container: 'other' })).rejects.toBeInstanceOf(KubernetesError);
  });

  test.concurrent('is not waited for any more once the run is cancelled', async () => {
    const { pod } = await make('cancelled');
    const where = { namespace: cluster.namespace, pod, container: 'store' };
    const cancel = new AbortController();
    const running = runInContainer(clusters.of(undefined), where, ['sleep', '20'], cancel.signal);
    setTimeout(() => cancel.abort(), 500);
    await expect(running).rejects.toThrow('abort');
  });
});
