import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WorkerProcess } from '../sandbox/worker-process.ts';
import { restoreTemplate } from '../src/activities/kubernetes/deployment/restore-template.ts';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import type { DeploymentChange } from '../src/activities/kubernetes/deployment/deployment-change.ts';
import { planDeploymentRollback } from '../src/activities/kubernetes/deployment/plan-deployment-rollback.ts';
import { settingsSchema } from '../src/config/schema.ts';
import { parseInput } from '../src/contract/input.ts';
import { mandateFor } from './support/mandates.ts';
import { eventually } from './support/eventually.ts';
import { usePrivateCluster } from './support/private-cluster.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const servers = usePrivateCluster();
const env = useRollbackEnvironment();
afterAll(() => servers.down());
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const usual = { maxSurge: '25%', maxUnavailable: '25%' };

/** Starts a rollback whose pods count as available only after some seconds; ends when it has begun. */
async function startSlow(name: string, minReadySeconds: number): Promise<string> {
  await env.cluster.history(name, 3, v1, v2);
  await env.cluster.patch(name, { spec: { minReadySeconds } });
  const id = await env.start({ deployment: name });
  await eventually('the template is restored', async () => (await env.cluster.image(name)) === v1);
  await env.cluster.pods(name, v1);
  return id;
}

async function expectRolledBackOnce(id: string, name: string): Promise<void> {
  const result = await env.result(id);
  expect(result.outcome).toBe('rolled-back');
  expect(result.plan?.changes[0]?.after.surge).toBe(true);
  const { metadata, spec, status } = await env.cluster.deployment(name);
  expect(metadata?.annotations?.['deployment.kubernetes.io/revision']).toBe('3');
  expect((await env.cluster.replicaSets(name)).size).toBe(2);
  expect(spec?.strategy?.rollingUpdate).toEqual(usual);
  expect(spec?.template.spec?.containers[0]?.image).toBe(v1);
  expect(status).toMatchObject({ availableReplicas: 3, updatedReplicas: 3, replicas: 3 });
}

test('a controller manager that stands still holds the run, which says so', async () => {
  await env.cluster.history('unseen', 2, v1, v2);
  servers.signal('kube-controller-manager', 'SIGSTOP');
  const id = await env.start({ deployment: 'unseen' });
  const paused = await env.untilPaused(id, 100_000).finally(() => {
    servers.signal('kube-controller-manager', 'SIGCONT');
  });

  expect(paused.message).toContain('its controller has not seen the change within 60 s');
  expect((await env.decideStep(paused, 'retry')).counted).toBe(true);
  expect((await env.result(id)).outcome).toBe('rolled-back');
});

describe('a rollback goes on', () => {
  test('after the API server did not answer for a while', async () => {
    const id = await startSlow('cut-off', 2);

    servers.signal('kube-apiserver', 'SIGSTOP');
    // The length of the outage; nothing happens by which its end could be known.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    servers.signal('kube-apiserver', 'SIGCONT');

    await expectRolledBackOnce(id, 'cut-off');
  });

  describe('with workers that are processes of their own', () => {
    let worker: WorkerProcess | undefined;
    const variables = () => ({
      TEMPORAL_ADDRESS: env.temporal.address,
      ROLLBACK_CONFIG: env.settingsFile,
    });
    beforeAll(async () => {
      await env.stopWorker();
      worker = await WorkerProcess.start(variables());
    });
    afterAll(() => worker?.end('SIGKILL'));

    test('after its worker was killed in the middle, with one new revision', async () => {
      const id = await startSlow('killed', 4);

      await worker?.end('SIGKILL');
      worker = await WorkerProcess.start(variables());

      await expectRolledBackOnce(id, 'killed');
    });

    test('after its worker was stopped for an upgrade', async () => {
      // Longer than the grace that a worker gives to its activities.
      const id = await startSlow('upgraded', 14);

      const [next] = await Promise.all([WorkerProcess.start(variables()), worker?.end('SIGTERM')]);
      worker = next;

      await expectRolledBackOnce(id, 'upgraded');
    });
  });
});

test('a restore that runs beside its own zombie makes one revision, and both know that it is theirs', async () => {
  await env.cluster.history('zombie', 1, v1, v2);
  const settings = { settings: settingsSchema.parse({}), file: '', folder: '' };
  const input = parseInput('deployment', {
    deployment: 'zombie',
    namespace: env.cluster.namespace,
  });
  const plan = await planDeploymentRollback(new Clusters(), settings, input);
  const mandate = mandateFor(plan.changes[0] as DeploymentChange);

  const both = [new Clusters(), new Clusters()].map((clusters) =>
    restoreTemplate(clusters, mandate),
  );
  const effects = await Promise.all(both);

  expect(effects.map(({ changed }) => changed)).toEqual([true, true]);
  await env.cluster.rollout('zombie');
  const { metadata } = await env.cluster.deployment('zombie');
  expect(metadata?.annotations?.['deployment.kubernetes.io/revision']).toBe('3');
  expect(metadata?.generation).toBe(3);
});
