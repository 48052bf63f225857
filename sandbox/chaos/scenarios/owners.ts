/** Rollbacks of what GitOps and progressive delivery own, disturbed. */
import {
  application,
  kustomization,
  rolloutOf,
  trackedBy,
} from '../../kubernetes/owner-manifests.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';
import { images } from './deployment.ts';

const name = 'web';

function owned(about: Partial<Scenario> & Pick<Scenario, 'name'>): Scenario {
  return {
    settings: ({ namespace, health }) => settingsWith(namespace, `${health}/green`),
    async prepare(place) {
      await deployByBoth(place);
      return ['deployment', name, '-n', place.namespace];
    },
    outcome: 'rolled-back',
    world: ownedWorld,
    ...about,
  };
}

function settingsWith(namespace: string, url: string, remindEvery = '1h'): object {
  const checks = { health: { url, retries: 0 } };
  return {
    services: { [name]: { namespace, deployment: name, checks } },
    owners: { argoCd: { namespace }, flux: { namespace }, remindEvery },
  };
}

export const ownersScenarios: readonly Scenario[] = [
  owned({ name: 'owners are held by a rollback' }),
  owned({
    name: 'owners are let go by an abort, and somebody was reminded',
    outcome: 'aborted',
    settings: ({ namespace, health }) => settingsWith(namespace, `${health}/red`, '500ms'),
    async people(place) {
      await untilReminded(place);
      await place.decideWhen('paused', 'abort', 'on-call');
    },
  }),
  owned({
    name: 'an owner is released',
    async prepare(place) {
      await deployByBoth(place);
      await place.rollbackOnce('deployment', name, '-n', place.namespace);
      return ['release', `application/${name}`, '-n', place.namespace];
    },
  }),
  {
    name: 'a Rollout follows its Deployment back',
    settings: () => ({}),
    async prepare(place) {
      for (const image of [images.good, images.bad]) {
        await place.apply([webManifest(image, { replicas: 0 })]);
        await place.kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
      }
      await place.apply([rolloutOf(name, name)]);
      await say(place, { ...whole, currentPodHash: 'bad', stableRS: 'bad' });
      return ['deployment', name, '-n', place.namespace];
    },
    outcome: 'rolled-back',
    people: playArgoRollouts,
    async world(place) {
      const { spec, status } = await read<Rollout>(place, 'rollout');
      const { spec: workload } = await read<Workload>(place, 'deployment');
      const { image } = workload.template.spec.containers[0] ?? {};
      return { image, spec, stable: status.stableRS, promoteFull: status.promoteFull === true };
    },
  },
];

/** A bad release that Argo CD and Flux have both deployed. */
async function deployByBoth(place: Place): Promise<void> {
  const { namespace } = place;
  await place.apply([application(name), kustomization(name)]);
  const about = {
    ...trackedBy(name, 'apps/Deployment', namespace, name),
    labels: {
      'kustomize.toolkit.fluxcd.io/name': name,
      'kustomize.toolkit.fluxcd.io/namespace': namespace,
    },
  };
  for (const image of [images.good, images.bad]) {
    await place.apply([webManifest(image, about)]);
    await place.kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
  }
}

interface Owner {
  metadata: { labels?: object; annotations?: Record<string, string> };
  spec: object;
}
interface Workload {
  metadata: { generation: number };
  spec: { template: { spec: { containers: { image: string }[] } } };
}
interface Rollout {
  spec: object;
  status: { currentPodHash?: string; stableRS?: string; promoteFull?: boolean };
}

async function read<T>({ kubectl }: Place, kind: string): Promise<T> {
  return JSON.parse(await kubectl('get', kind, name, '-o', 'json')) as T;
}

/** The owners as they are, with for how many runs they are held. */
async function ownedWorld(place: Place): Promise<object> {
  const [deployment, ...owners] = await Promise.all([
    read<Workload>(place, 'deployment'),
    read<Owner>(place, 'application'),
    read<Owner>(place, 'kustomization'),
  ]);
  return {
    image: deployment.spec.template.spec.containers[0]?.image,
    generation: deployment.metadata.generation,
    owners: owners.map(({ metadata: { labels, annotations = {} }, spec }) => {
      const held = JSON.parse(annotations['rollback-workflows/held'] ?? '{}') as {
        was?: unknown;
        reasons?: unknown[];
      };
      return { labels, spec, was: held.was, reasons: held.reasons?.length };
    }),
  };
}

/** Waits until a reminder of this namespace has told somebody. */
async function untilReminded(place: Place): Promise<void> {
  const { client, namespace } = place;
  const query = "WorkflowType = 'remindOfHold' AND ExecutionStatus = 'Running'";
  await place.look(async () => {
    for await (const { workflowId } of client.workflow.list({ query })) {
      if (!workflowId.includes(`/${namespace}/`)) continue;
      const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
      const activities = events?.map(
        (event) => event.activityTaskScheduledEventAttributes?.activityType?.name,
      );
      if (activities?.includes('owners.remindOfHold')) return true;
    }
    return false;
  });
}

const whole = { phase: 'Healthy', replicas: 2, updatedReplicas: 2, availableReplicas: 2 };

/** What the controller says of the Rollout, having seen the Deployment's newest template. */
async function say(place: Place, status: object): Promise<void> {
  const { metadata } = await read<Workload>(place, 'deployment');
  const seen = { workloadObservedGeneration: String(metadata.generation), ...status };
  await place.kubectl(
    ...['patch', 'rollout', name, '--subresource=status', '--type=merge'],
    ...['-p', JSON.stringify({ status: seen })],
  );
}

/** Does what the controller does: sees the template, and promotes it when it is told to. */
async function playArgoRollouts(place: Place): Promise<void> {
  await place.look(async () => {
    const { spec } = await read<Workload>(place, 'deployment');
    return spec.template.spec.containers[0]?.image === images.good;
  });
  await say(place, { phase: 'Progressing', currentPodHash: 'good', promoteFull: false });
  await place.look(async () => {
    return (await read<Rollout>(place, 'rollout')).status.promoteFull === true;
  });
  await say(place, { ...whole, stableRS: 'good', promoteFull: false });
}

function webManifest(
  image: string,
  { replicas = 2, ...metadata }: { replicas?: number; labels?: object; annotations?: object },
): object {
  const labels = { app: name };
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, ...metadata } },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'api', image }] } },
    },
  };
}
