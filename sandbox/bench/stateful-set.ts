import { execa } from 'execa';
import { statefulSetManifests } from '../kubernetes/manifests.ts';
import { median, timed, type Row } from './row.ts';

const namespace = 'bench-stateful';
const replicas = 3;

/**
 * Rollback of a StatefulSet whose pods are ready after 3 s each, one after the other, with its traffic
 * stopped and its state archived: `rollback statefulset` against the runbook's kubectl commands, with
 * the wait that they forget before they resume the traffic. Ours archives every pod, theirs the first.
 */
export async function* benchStatefulSet(rounds: number): AsyncGenerator<Row> {
  await execa('kubectl', ['create', 'namespace', namespace]);
  const names = ['ours', 'kubectl'] as const;
  const times: Record<(typeof names)[number], number[]> = { ours: [], kubectl: [] };
  try {
    await Promise.all(names.map(make));
    for (let round = 1; round <= rounds; round++) {
      const image = `wakala/api:2.0.${round}`;
      await Promise.all(names.map((name) => release(name, image)));
      times.kubectl.push(await timed(() => byHand('kubectl')));
      times.ours.push(
        await timed(() => execa('rollback', ['statefulset', 'ours', '-n', namespace, '--json'])),
      );
    }
    const ratios = times.ours.map((ms, round) => ms / (times.kubectl[round] ?? Number.NaN));
    yield {
      what: `StatefulSet rollback, ${replicas} pods, state archived, against kubectl`,
      figure: Number(median(ratios).toFixed(3)),
      unit: 'x',
      asked: 1.05,
      details: `ours ${Math.round(median(times.ours))} ms, kubectl ${Math.round(median(times.kubectl))} ms`,
    };
  } finally {
    await execa('kubectl', ['delete', 'namespace', namespace, '--wait=false']);
  }
}

async function make(name: string): Promise<void> {
  const items = statefulSetManifests(name, 'wakala/api:1.0.0', { replicas });
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await execa('kubectl', ['-n', namespace, 'apply', '-f', '-'], { input });
  await status(name);
  await Promise.all(
    Array.from({ length: replicas }, (_, ordinal) =>
      kubectl('exec', `${name}-${ordinal}`, '--', 'touch', '/data/state'),
    ),
  );
}

async function release(name: string, image: string): Promise<void> {
  await kubectl('set', 'image', `statefulset/${name}`, `*=${image}`);
  await status(name);
}

/** The runbook's commands. */
async function byHand(name: string): Promise<void> {
  const send = (version: string) =>
    kubectl('patch', 'service', name, '-p', JSON.stringify({ spec: { selector: { version } } }));
  await send('maintenance');
  await kubectl('exec', `${name}-0`, '--', 'tar', '-czf', '/backup/state.tar.gz', '/data');
  await kubectl('rollout', 'undo', `statefulset/${name}`);
  await status(name);
  await send('stable');
}

function status(name: string): Promise<unknown> {
  return kubectl('rollout', 'status', `statefulset/${name}`);
}

function kubectl(...args: string[]): Promise<unknown> {
  return execa('kubectl', ['-n', namespace, ...args]);
}
