import { describe, expect, test } from '@jest/globals';
import { bothVersions, destinationRule, gatewayCanary, httpRoute, istioCanary, to, virtualService } from './support/canaries.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment({}, { procedure: 'canary' });

/** Applies manifests, and waits for the pods of both versions. */
async function make(name: string, objects: object[]): Promise<void> {
  await env.cluster.apply(objects);
  await Promise.all([env.cluster.rollout(name), env.cluster.rollout(`${name}-canary`)]);
}

async function specOf(kind: string, name: string): Promise<Record<string, unknown>> {
  const text = await env.cluster.kubectl('get', kind, name, '-o', 'json');
  return (JSON.parse(text) as { spec: Record<string, unknown> }).spec;
}

async function names(...kinds: string[]): Promise<string[]> {
  const text = await env.cluster.kubectl('get', kinds.join(), '-o', 'name');
  return text.split('\n').filter(Boolean);
}

describe('a canary is taken out', () => {
  test.concurrent('as the runbook would have it: no traffic, no Deployment, no rule', async () => {
    await Promise.all([make('ours', istioCanary('ours')), make('theirs', istioCanary('theirs'))]);
    const merge = { spec: { http: [{ route: [to('theirs', 'stable', { weight: 100 })] }] } };
    await env.cluster.kubectl(
      ...['patch', 'virtualservice', 'theirs', '--type=merge', '-p', JSON.stringify(merge)],
    );
    await env.cluster.kubectl('delete', 'deployment', 'theirs-canary');
    await env.cluster.kubectl('delete', 'destinationrule', 'theirs-canary');

    const result = await env.run({ service: 'ours' });

    expect(result.message).toMatch(/canary of ours .*taken out/);
    expect(result.outcome).toBe('rolled-back');
    const left = await names('deployments', 'destinationrules', 'services', 'virtualservices');
    const of = (name: string) => left.filter((one) => one.includes(name));
    expect(of('ours').map((one) => one.replace('ours', 'theirs'))).toEqual(of('theirs'));
    expect(await specOf('virtualservice', 'ours')).toEqual({
      hosts: ['ours'],
      http: [
        { route: [to('ours', 'stable', { weight: 100 }), to('ours', 'canary', { weight: 0 })] },
      ],
    });
    expect(result.steps.map(({ title, state }) => `${title}: ${state}`)).toEqual([
      'Turn virtualservice ours away from the canary: done',
      'Scale deployment ours-canary to zero: done',
      'Delete destinationrule ours-canary: done',
      'Delete deployment ours-canary: done',
    ]);
  });

  test.concurrent('from an HTTPRoute', async () => {
    await make('gated', gatewayCanary('gated'));
    const result = await env.run({ service: 'gated' });
    console.log(JSON.stringify(result, null, 1));
    expect(result.outcome).toBe('rolled-back');
    console.log(JSON.stringify(await specOf('httproute', 'gated')));
  });
});
