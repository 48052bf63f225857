/** The rollback of a Deployment in the situations in which it is disturbed. */
import { FakeOwner } from '../fake-owner.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const name = 'web';
export const images = {
  good: 'wakala/api:1.0.0',
  bad: 'wakala/api:2.0.0-bad',
  other: 'wakala/api:3.0.0',
  broken: 'wakala/api:broken',
} as const;

function deployment(about: Partial<Scenario> & Pick<Scenario, 'name'>): Scenario {
  return {
    settings: ({ namespace, health }) => ({
      services: { [name]: { namespace, deployment: name, checks: greenCheck(health) } },
    }),
    async prepare({ kubectl, namespace }) {
      await deployBoth({ kubectl });
      return ['deployment', name, '-n', namespace];
    },
    outcome: 'rolled-back',
    world: (place) => deploymentWorld(place),
    ...about,
  };
}

const leadsApprove = {
  rules: [{ name: 'leads', when: { targets: ['*'] }, need: { 'team-lead': 1 } }],
};
const greenCheck = (health: string) => ({ health: { url: `${health}/green` } });

export const deploymentScenarios: readonly Scenario[] = [
  deployment({ name: 'deployment is rolled back' }),
  deployment({
    name: 'deployment waits for a lead and for its turn',
    settings: ({ namespace, health }) => ({
      services: { [name]: { namespace, deployment: name, checks: greenCheck(health) } },
      authority: leadsApprove,
    }),
    async prepare(place) {
      const { kubectl, namespace, client } = place;
      await deployBoth(place);
      const uid = await kubectl('get', 'deployment', name, '-o', 'jsonpath={.metadata.uid}');
      const target = { kind: 'deployment', context: '', namespace, name, uid } as const;
      place.owner = await FakeOwner.of(client, target);
      return ['deployment', name, '-n', namespace, '--wait', '5m'];
    },
    async people(place) {
      await place.decideWhen('awaiting-approval', 'approve', 'team-lead');
      await place.untilMessage('Waiting: ');
      await place.owner?.free();
    },
  }),
  deployment({
    name: 'deployment is aborted and goes back',
    outcome: 'aborted',
    settings: ({ namespace, health }) => ({
      services: {
        [name]: {
          ...{ namespace, deployment: name },
          checks: { health: { url: `${health}/red`, retries: 0 } },
        },
      },
      authority: leadsApprove,
    }),
    async people(place) {
      await place.decideWhen('awaiting-approval', 'approve', 'team-lead');
      await place.decideWhen('paused', 'abort', 'on-call');
    },
  }),
  deployment({
    name: 'deployment is aborted while it waits for pods and goes back',
    outcome: 'aborted',
    async prepare({ kubectl, namespace }) {
      const set = (image: string) => kubectl('set', 'image', `deployment/${name}`, `*=${image}`);
      await kubectl('create', 'deployment', name, `--image=${images.good}`, '--replicas=3');
      await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
      await set(images.broken);
      // A version that its controller never saw has no revision.
      const seen = '--for=jsonpath={.status.observedGeneration}=2';
      await kubectl('wait', `deployment/${name}`, seen, '--timeout=60s');
      await set(images.other);
      await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
      return ['deployment', name, '-n', namespace, '--to-revision', '2'];
    },
    async people(place) {
      await place.untilMessage('Wait for every replica');
      await place.decideWhen('executing', 'abort', 'on-call');
    },
  }),
];

/** The good version, then the bad one. */
export async function deployBoth(
  { kubectl }: Pick<Place, 'kubectl'>,
  deployment = name,
): Promise<void> {
  const status = ['rollout', 'status', `deployment/${deployment}`, '--timeout=60s'];
  await kubectl('create', 'deployment', deployment, `--image=${images.good}`, '--replicas=3');
  await kubectl(...status);
  await kubectl('set', 'image', `deployment/${deployment}`, `*=${images.bad}`);
  await kubectl(...status);
}

interface Metadata {
  uid: string;
  annotations?: Record<string, string>;
  generation: number;
  managedFields?: { manager: string; operation: string; subresource?: string }[];
}
interface Workload {
  metadata: Metadata;
  spec: { replicas: number; strategy?: object; template: { spec: { containers: Image[] } } };
}
type Image = { image: string };

export interface DeploymentWorld {
  image: string;
  replicas: number;
  strategy: object | undefined;
  /** Every change of the spec counts, so that one that is made twice is seen. */
  generation: number;
  annotations: string[];
  managers: string[];
  replicaSets: { image: string; revision: string | undefined; replicas: number }[];
  pods: string[];
  isLocked: boolean;
}

/** The Deployment as its controller, its owners and people find it. */
export async function deploymentWorld(
  place: Place,
  deploymentName = name,
): Promise<DeploymentWorld> {
  const own = ['-l', `app=${deploymentName}`];
  const deployment = await place.get<Workload>(
    'deployment',
    deploymentName,
    '--show-managed-fields',
  );
  const sets = await place.get<{ items: Workload[] }>('replicasets', ...own);
  const pods = await place.get<{ items: { spec: { containers: Image[] } }[] }>('pods', ...own);
  const { metadata, spec } = deployment;
  return {
    image: imageOf(deployment),
    replicas: spec.replicas,
    strategy: spec.strategy,
    generation: metadata.generation,
    annotations: Object.keys(metadata.annotations ?? {}).sort(),
    managers: (metadata.managedFields ?? [])
      .map(({ manager, operation, subresource = '' }) =>
        [manager, operation, subresource].join(' '),
      )
      .sort(),
    replicaSets: sets.items
      .map((set) => ({
        image: imageOf(set),
        revision: set.metadata.annotations?.['deployment.kubernetes.io/revision'],
        replicas: set.spec.replicas,
      }))
      .sort((one, other) => one.image.localeCompare(other.image)),
    pods: pods.items.map(({ spec: { containers } }) => containers[0]?.image ?? '').sort(),
    isLocked: await place.isLocked('deployment', deploymentName, metadata.uid),
  };
}

function imageOf({ spec }: Workload): string {
  return spec.template.spec.containers[0]?.image ?? '';
}
