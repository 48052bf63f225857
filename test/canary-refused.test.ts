/** Where a canary must not be taken out, or not any further. */
import { describe, expect, test } from '@jest/globals';
import {
  bothVersions,
  destinationRule,
  httpRoute,
  istioCanary,
  to,
  virtualService,
  weightedRollout,
} from '../sandbox/kubernetes/canaries.ts';
import { serviceManifest } from '../sandbox/kubernetes/manifests.ts';
import type { AbortChange } from '../src/activities/argo-rollouts/abort-change.ts';
import { abortRollout } from '../src/activities/argo-rollouts/abort-rollout.ts';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import type { RoutesChange } from '../src/activities/kubernetes/canary/canary-change.ts';
import { shiftTraffic } from '../src/activities/kubernetes/canary/shift-traffic.ts';
import { eventually } from './support/eventually.ts';
import { mandateFor } from './support/mandates.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { silentProgress } from './support/silent-progress.ts';

const env = useRollbackEnvironment({}, { procedure: 'canary' });
const broken = 'wakala/api:1.0.0-broken';

/** Applies manifests, and waits for the pods of these Deployments. */
async function make(objects: object[], ...rollouts: string[]): Promise<void> {
  await env.cluster.apply(objects);
  await Promise.all(rollouts.map((name) => env.cluster.rollout(name)));
}

async function patch(kind: string, name: string, spec: object): Promise<void> {
  const text = JSON.stringify({ spec });
  await env.cluster.kubectl('patch', kind, name, '--type=merge', '-p', text);
}

/** Weights of the first route of a VirtualService. */
async function weights(name: string): Promise<(number | undefined)[]> {
  const spec = (await env.cluster.specOf('virtualservice', name)) as {
    http: { route: { weight?: number }[] }[];
  };
  return spec.http[0]?.route.map(({ weight }) => weight) ?? [];
}

/** Starts a run, and does something once it has its plan and before it changes anything. */
async function interrupted(name: string, meanwhile: () => Promise<unknown>): Promise<string> {
  const owner = await env.occupy(`${name}-canary`);
  const id = await env.start({ service: name, wait: '30s' });
  await env.untilPlanned(id);
  await meanwhile();
  await owner.free();
  return id;
}

const split = (name: string, stable: number, canary: number) => ({
  http: [
    { route: [to(name, 'stable', { weight: stable }), to(name, 'canary', { weight: canary })] },
  ],
});

describe('requests never go where nobody is ready for them', () => {
  test.concurrent('a stable side without ready pods is refused', async () => {
    await make(istioCanary('unready', { images: { stable: broken } }), 'unready-canary');

    const result = await env.run({ service: 'unready' });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('only the canary has ready pods');
    expect(result.message).toContain('1 of unready/canary, 0 of unready/stable');
    expect(await weights('unready')).toEqual([90, 10]);
  });

  test.concurrent('one that is lost before the change pauses it, until it is back', async () => {
    await make(istioCanary('lost', { replicas: { stable: 1 } }), 'lost-stable', 'lost-canary');
    const id = await interrupted('lost', async () => {
      await env.cluster.kubectl('scale', 'deployment/lost-stable', '--replicas=0');
      await env.cluster.kubectl('wait', '--for=delete', 'pod', '-l', 'app=lost,version=stable');
    });
    const paused = await env.untilPaused(id);
    expect(paused.message).toContain('lost/stable would have to serve without a ready pod');
    expect(await weights('lost')).toEqual([90, 10]);

    await env.cluster.kubectl('scale', 'deployment/lost-stable', '--replicas=1');
    await env.cluster.rollout('lost-stable');
    await env.decideStep(paused, 'retry');

    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await weights('lost')).toEqual([100, 0]);
  });

  test.concurrent('where the canary has none either it goes, and that is said', async () => {
    const images = { stable: broken, canary: broken };
    await make(istioCanary('both', { images }));

    const result = await env.run({ service: 'both' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join()).toContain('Neither side has ready pods');
  });

  test.concurrent('the canary’s own pods do not count as the stable side’s', async () => {
    await make(
      [
        ...bothVersions('counted', { replicas: { stable: 0 } }),
        serviceManifest('counted-canary', { app: 'counted', version: 'canary' }),
        httpRoute('counted', [
          {
            backendRefs: [
              { name: 'counted', port: 80, weight: 9 },
              { name: 'counted-canary', port: 80, weight: 1 },
            ],
          },
        ]),
      ],
      'counted-canary',
    );

    const result = await env.run({ service: 'counted' });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('only the canary has ready pods');
  });

  test.concurrent('it goes back by itself only to a canary that is healthier', async () => {
    await make(
      istioCanary('returned', { replicas: { stable: 1 } }),
      'returned-stable',
      'returned-canary',
    );
    const { plan } = await env.run({ service: 'returned', dryRun: true });
    const change = plan?.changes.find(({ kind }) => kind.endsWith('/routes')) as RoutesChange;
    const clusters = new Clusters();
    const there = mandateFor(change);
    const back = { ...there, undo: true };
    await shiftTraffic(clusters, there);

    await expect(shiftTraffic(clusters, back)).rejects.toThrow('the canary is not healthier');
    expect(await weights('returned')).toEqual([100, 0]);

    await env.cluster.kubectl('scale', 'deployment/returned-stable', '--replicas=0');
    await env.cluster.kubectl('wait', '--for=delete', 'pod', '-l', 'app=returned,version=stable');
    await shiftTraffic(clusters, back);
    expect(await weights('returned')).toEqual([90, 10]);
  });
});

describe('what somebody else does meanwhile', () => {
  test.concurrent('to the weights is planned again, and no canary keeps requests', async () => {
    await make(istioCanary('moved'), 'moved-stable', 'moved-canary');

    const id = await interrupted('moved', () =>
      patch('virtualservice', 'moved', {
        http: [
          { match: [{ uri: { prefix: '/new' } }], route: [to('moved', 'canary')] },
          ...split('moved', 50, 50).http,
        ],
      }),
    );

    // Nobody has asked for the new plan yet.
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'on-call');

    const result = await env.result(id);
    expect(result.plannedAgain).toContain('was changed after the plan was made');
    expect(result.outcome).toBe('rolled-back');
    expect(await env.cluster.specOf('virtualservice', 'moved')).toMatchObject({
      http: [{ route: [to('moved', 'stable')] }, { route: [{ weight: 100 }, { weight: 0 }] }],
    });
  });

  test.concurrent('to the canary’s Deployment or rule keeps them from being deleted', async () => {
    await make(istioCanary('released'), 'released-stable', 'released-canary');
    const id = await interrupted('released', async () => {
      await env.cluster.kubectl('set', 'image', 'deployment/released-canary', '*=wakala/api:3.0.0');
      await patch('destinationrule', 'released-canary', {
        subsets: ['stable', 'canary'].map((version) => ({ name: version, labels: { version } })),
      });
    });

    const paused = await env.untilPaused(id);

    expect(paused.message).toContain(
      `Paused at step "Delete destinationrule/released-canary": DestinationRule released-canary in ${env.cluster.namespace} was changed after the plan was made, and stays`,
    );
    await env.decideStep(paused, 'skip');
    const next = await env.untilPaused(id);
    expect(next.message).toContain('Deployment released-canary');
    await env.decideStep(next, 'skip');
    expect((await env.result(id)).gaps).toHaveLength(2);
    expect(await env.cluster.image('released-canary')).toBe('wakala/api:3.0.0');
  });

  test.concurrent('once a rule is deleted, no abort sends requests to nowhere', async () => {
    await make(istioCanary('begun'), 'begun-stable', 'begun-canary');
    const id = await interrupted('begun', () =>
      env.cluster.kubectl('set', 'image', 'deployment/begun-canary', '*=wakala/api:3.0.0'),
    );
    const paused = await env.untilPaused(id);
    expect(paused.pausedAt[0]?.step).toBe('Delete deployment/begun-canary');

    const result = await env.abort(paused);

    expect(result.outcome).toBe('failed');
    expect(result.next).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/DestinationRule begun-canary .* only its manifest brings it back/),
        expect.stringContaining('still stands'),
      ]),
    );
    expect(await weights('begun')).toEqual([100, 0]);
  });
});

describe('it is refused, with what to do instead, and nothing is changed', () => {
  test.concurrent('where no route names the service', async () => {
    await make(bothVersions('unrouted'));
    const result = await env.run({ service: 'unrouted' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('No VirtualService or HTTPRoute in');
    const absent = await env.run({ service: 'unrouted', namespace: 'absent' });
    expect(absent.message).toContain('There is no namespace absent');
  });

  test.concurrent('where several could get the requests', async () => {
    await make([
      ...bothVersions('several'),
      destinationRule('several', 'several', ['a', 'b', 'canary']),
      virtualService('several', {
        http: [
          {
            route: [
              to('several', 'a', { weight: 45 }),
              to('several', 'b', { weight: 45 }),
              to('several', 'canary', { weight: 10 }),
            ],
          },
        ],
      }),
    ]);
    const result = await env.run({ service: 'several' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(
      /several destinations .*several.a, several.b\): say with --stable/,
    );
    const wrong = await env.run({ service: 'several', stable: 'c' });
    expect(wrong.message).toContain('has no stable side c');
  });

  test.concurrent('where nobody knows the pods of the stable side', async () => {
    await make([
      ...bothVersions('unruled'),
      destinationRule('unruled-canary', 'unruled', ['canary']),
      virtualService('unruled', split('unruled', 90, 10)),
    ]);
    const result = await env.run({ service: 'unruled' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('unruled/stable');
    expect(result.message).toContain('--stable');
  });
});

describe('where Argo Rollouts sets the weights', () => {
  /** A canary of a Rollout, of which its controller says this. */
  async function rolled(name: string, status: object): Promise<void> {
    await make([...istioCanary(name), weightedRollout(name)]);
    await env.cluster.rollout(`${name}-stable`);
    await say(name, status);
  }
  async function say(name: string, status: object): Promise<void> {
    const said = JSON.stringify({ status });
    await env.cluster.kubectl(
      ...['patch', 'rollout', name, '--subresource=status', '--type=merge', '-p', said],
    );
  }
  const statusOf = async (name: string) =>
    (await env.cluster.get<{ status?: { abort?: boolean } }>('rollout', name)).status;

  test.concurrent('it is told to abort, and nothing of its own is touched', async () => {
    await rolled('aborted', { currentPodHash: 'new', stableRS: 'old', phase: 'Progressing' });
    const before = await env.cluster.specOf('deployment', 'aborted-canary');

    const id = await env.start({ service: 'aborted' });
    await eventually('it is aborted', async () => (await statusOf('aborted'))?.abort);
    // What its controller does then.
    await patch('virtualservice', 'aborted', split('aborted', 100, 0));
    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(result.steps.map(({ title }) => title)).toEqual(['Abort rollout/aborted']);
    expect(result.plan?.warnings.join()).toContain('go back in its manifests as well');
    expect(await env.cluster.specOf('deployment', 'aborted-canary')).toEqual(before);
    expect((await env.run({ service: 'aborted', keep: true })).plan?.changes).not.toContainEqual(
      expect.objectContaining({ kind: 'argo-rollouts/abort' }),
    );
  });

  test.concurrent('a newer update of it is not aborted in place of the planned one', async () => {
    await rolled('renewed', { currentPodHash: 'new', stableRS: 'old' });
    const { plan } = await env.run({ service: 'renewed', dryRun: true });
    await say('renewed', { currentPodHash: 'newer' });

    const aborting = abortRollout(
      new Clusters(),
      mandateFor(plan?.changes[0] as AbortChange),
      silentProgress(),
    );

    await expect(aborting).rejects.toThrow('tries another version by now');
    expect((await statusOf('renewed'))?.abort).toBeUndefined();
  });

  test.concurrent('and is done with its update, nobody fights it', async () => {
    await rolled('promoted', { currentPodHash: 'new', stableRS: 'new' });
    const result = await env.run({ service: 'promoted' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('kubectl argo rollouts get rollout promoted');
    expect(await weights('promoted')).toEqual([90, 10]);
  });
});

describe('what is not the canary’s alone stays', () => {
  test.concurrent(
    'what Flagger watches, and Flagger itself does not bring the weights back',
    async () => {
      await make([
        serviceManifest('flagged', { app: 'flagged-primary' }),
        serviceManifest('flagged-canary', { app: 'flagged', version: 'canary' }),
        serviceManifest('flagged-primary', { app: 'flagged', version: 'stable' }),
        ...bothVersions('flagged').slice(1),
        virtualService('flagged', {
          http: [
            {
              route: [
                { destination: { host: 'flagged-primary' }, weight: 70 },
                { destination: { host: 'flagged-canary' }, weight: 30 },
              ],
            },
          ],
        }),
        {
          ...{ apiVersion: 'flagger.app/v1beta1', kind: 'Canary', metadata: { name: 'flagged' } },
          spec: {
            targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'flagged-canary' },
            service: { name: 'flagged', port: 80 },
            analysis: { interval: '1m', threshold: 5, stepWeight: 10, maxWeight: 50 },
          },
        },
      ]);
      await env.cluster.rollout('flagged-stable');

      const result = await env.run({ service: 'flagged' });

      expect(result.steps[0]?.title).toBe(`Pause canary ${env.cluster.namespace}/flagged`);
      expect(result.outcome).toBe('rolled-back');
      expect(await weights('flagged')).toEqual([100, 0]);
      expect(await env.cluster.specOf('deployment', 'flagged-canary')).toMatchObject({
        replicas: 0,
      });
      expect(await env.cluster.specOf('canaries.flagger.app', 'flagged')).toMatchObject({
        suspend: true,
      });
    },
  );

  test.concurrent('pods that another Service has no others than', async () => {
    await make(
      [
        ...istioCanary('shared'),
        serviceManifest('reports-of-shared', { app: 'shared', version: 'canary' }),
      ],
      'shared-stable',
      'shared-canary',
    );
    await eventually('the Service has endpoints', async () =>
      /\d/.test(
        await env.cluster.kubectl(
          ...['get', 'endpointslices', '-l', 'kubernetes.io/service-name=reports-of-shared'],
          ...['-o', 'jsonpath={.items[*].endpoints[*].addresses[0]}'],
        ),
      ),
    );

    const result = await env.run({ service: 'shared' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toMatch(
      /Deployment shared-canary keeps its pods: Service reports-of-shared sends traffic to 1 of them/,
    );
    expect(await weights('shared')).toEqual([100, 0]);
    expect(await env.cluster.specOf('deployment', 'shared-canary')).toMatchObject({ replicas: 1 });
  });

  test.concurrent('an autoscaler, which rests meanwhile', async () => {
    await make(
      istioCanary('scaled', { replicas: { canary: 2 } }),
      'scaled-stable',
      'scaled-canary',
    );
    await env.cluster.kubectl('autoscale', 'deployment', 'scaled-canary', '--min=1', '--max=5');
    // It may choose another number at any time.
    const id = await interrupted('scaled', () =>
      env.cluster.kubectl('scale', 'deployment/scaled-canary', '--replicas=3'),
    );

    const result = await env.result(id);
    expect(result.outcome).toBe('rolled-back');
    expect(result.plannedAgain).toBeUndefined();
    expect(result.plan?.warnings.join('\n')).toContain(
      'HorizontalPodAutoscaler scaled-canary rests',
    );
  });
});
