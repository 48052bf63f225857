/** The rollback of a StatefulSet, with its traffic stopped and its state restored, disturbed. */
import { statefulSetManifests } from '../../kubernetes/manifests.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const name = 'store';
const [bad, broken] = ['wakala/api:2.0.0-bad', 'wakala/api:2.0.0-broken'];
const image = (pods: { items: Pod[] }) => pods.items.map(({ spec }) => spec.containers[0]?.image);

function statefulSet(
  check: 'green' | 'red',
  about: Partial<Scenario> & Pick<Scenario, 'name'>,
): Scenario {
  return {
    settings: ({ namespace, health }) => ({
      services: {
        [name]: {
          ...{ namespace, statefulSet: name, service: name },
          checks: { health: { url: `${health}/${check}`, retries: check === 'red' ? 0 : 3 } },
        },
      },
    }),
    prepare: (place) => prepare(place, broken),
    async people(place) {
      await place.decideWhen('awaiting-approval', 'approve', 'team-lead');
    },
    outcome: 'rolled-back',
    world: storeWorld,
    ...about,
  };
}

export const statefulSetScenarios: readonly Scenario[] = [
  statefulSet('green', { name: 'statefulset is rolled back with its state' }),
  statefulSet('red', {
    name: 'statefulset is aborted and goes back',
    outcome: 'aborted',
    // An undo waits long for what does not get ready.
    prepare: (place) => prepare(place, bad),
    async people(place) {
      await place.decideWhen('awaiting-approval', 'approve', 'team-lead');
      await place.decideWhen('paused', 'abort', 'on-call');
    },
  }),
];

/** Two pods of the good version with an archive, of which the second gets the new version first. */
async function prepare(place: Place, version: string): Promise<string[]> {
  const status = ['rollout', 'status', `statefulset/${name}`, '--timeout=60s'];
  const inFirst = (...command: string[]) => place.kubectl('exec', `${name}-0`, '--', ...command);
  const write = (text: string) =>
    inFirst('sh', '-c', 'echo "$1" > "$2"', 'sh', text, '/data/state');
  await place.apply(statefulSetManifests(name, 'wakala/api:1.0.0'));
  await place.kubectl(...status);
  await write('good');
  await inFirst('tar', '-czf', '/backup/state-good.tar.gz', '/data');
  await write('spoilt');
  // Both have state, and only the first an archive.
  await place.kubectl('exec', `${name}-1`, '--', 'touch', '/data/state');
  await place.kubectl('set', 'image', `statefulset/${name}`, `*=${version}`);
  await (version === broken ? untilStuck(place) : place.kubectl(...status));
  return ['statefulset', name, '-n', place.namespace, '--restore', 'state-good.tar.gz'];
}

/** Its controller waits for the second pod, which runs and does not get ready. */
async function untilStuck(place: Place): Promise<void> {
  const wait = ['wait', `pod/${name}-1`, '--timeout=60s'];
  await place.kubectl(...wait, `--for=jsonpath={.spec.containers[0].image}=${broken}`);
  await place.kubectl(...wait, '--for=jsonpath={.status.phase}=Running');
}

interface Pod {
  spec: { containers: { image: string }[] };
}
interface StatefulSet {
  metadata: { uid: string; generation: number; annotations?: Record<string, string> };
  spec: { template: Pod };
}
interface Service {
  metadata: { uid: string; annotations?: Record<string, string> };
  spec: { selector: Record<string, string> };
}

/** Versions, state, archives and traffic, as people find them. */
async function storeWorld(place: Place) {
  const [set, service, pods, revisions] = await Promise.all([
    place.get<StatefulSet>('statefulset', name),
    place.get<Service>('service', name),
    place.get<{ items: Pod[] }>('pods', '-l', `app=${name}`),
    place.get<{ items: { revision: number }[] }>('controllerrevisions'),
  ]);
  const run = (...command: string[]) =>
    place.kubectl('exec', `${name}-0`, '--', ...command).catch(() => 'not there');
  const [state, archives] = await Promise.all([run('cat', '/data/state'), run('ls', '/backup')]);
  return {
    ...{ selector: service.spec.selector, state, images: image(pods) },
    template: set.spec.template.spec.containers[0]?.image,
    // Every change of the spec counts, so that one that is made twice is seen.
    generation: set.metadata.generation,
    annotations: [set, service].map(({ metadata }) =>
      Object.keys(metadata.annotations ?? {}).sort(),
    ),
    revisions: revisions.items.map(({ revision }) => revision).sort(),
    archives: archives.split('\n').filter((file) => file.endsWith('.tar.gz')).length,
    isLocked: await Promise.all([
      place.isLocked('statefulset', name, set.metadata.uid),
      place.isLocked('service', name, service.metadata.uid),
    ]),
  };
}
