import { expect, test } from '@jest/globals';
import { randomNumbers } from '../sandbox/chaos/random.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment();

test.concurrent.each([1, 20_261_123])(
  'whatever happened before, a rollback lands on the version that its plan named (seed %d)',
  async (seed) => {
    const name = `random-${seed}`;
    const random = randomNumbers(seed);
    let version = 2;
    await env.cluster.history(name, 2, 'wakala/api:1', 'wakala/api:2');
    const operations: Record<string, () => Promise<unknown>> = {
      'deploy a good version': () => env.cluster.release(name, `wakala/api:${++version}`),
      'deploy a broken version': () =>
        env.cluster.release(name, `wakala/api:${++version}-broken`, false),
      scale: () =>
        env.cluster.kubectl(
          'scale',
          `deployment/${name}`,
          `--replicas=${1 + Math.floor(random() * 3)}`,
        ),
      'pause and resume': async () => {
        await env.cluster.kubectl('rollout', 'pause', `deployment/${name}`);
        await env.cluster.kubectl('rollout', 'resume', `deployment/${name}`);
      },
      'roll back': async () => {
        const result = await env.run({ deployment: name });
        expect(['rolled-back', 'no-op']).toContain(result.outcome);
        const named = /(?:-> | \()(wakala\/api:[^ ,)]+)/.exec(result.plan?.summary ?? '')?.[1];
        expect(await env.cluster.image(name)).toBe(named);
        expect(named).not.toContain('broken');
        return `${result.outcome}: ${result.message}`;
      },
    };
    const trail: unknown[] = [];
    try {
      for (let count = 0; count < 20; count++) {
        const names = Object.keys(operations);
        // Every other one rolls back, so that each kind of past is gone back from.
        const operation =
          count % 2 === 1 ? 'roll back' : names[Math.floor(random() * names.length)];
        trail.push(operation, await operations[operation ?? '']?.());
      }
      await operations['roll back']?.();
      await eventually('the pods are those of the Deployment', async () => {
        const { status, spec } = await env.cluster.deployment(name);
        return (
          status?.availableReplicas === spec?.replicas && status?.updatedReplicas === spec?.replicas
        );
      });
    } catch (error) {
      throw new Error(`After ${JSON.stringify(trail, null, 1)}`, { cause: error });
    }
  },
);
