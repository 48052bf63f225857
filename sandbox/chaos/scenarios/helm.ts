/** The rollback of a Helm release in the situations in which it is disturbed. */
import { execa } from 'execa';
import { join } from 'node:path';
import { repository } from '../../setup/folders.mjs';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const name = 'web';
const chart = join(repository, 'sandbox', 'wakala', 'chart');
const images = { good: 'wakala/api:1.0.0', bad: 'wakala/api:2.0.0-bad' } as const;

function release(
  about: Pick<Scenario, 'name' | 'outcome' | 'people'>,
  answer: 'green' | 'red',
): Scenario {
  return {
    settings: ({ namespace, health }) => ({
      services: {
        [name]: {
          ...{ namespace, release: name },
          checks: { health: { url: `${health}/${answer}`, retries: 0 } },
        },
      },
    }),
    async prepare({ namespace }) {
      await upgrade(namespace, images.good);
      await upgrade(namespace, images.bad, '--set', 'worker.enabled=true');
      return ['helm', name, '-n', namespace];
    },
    world: releaseWorld,
    ...about,
  };
}

export const helmScenarios: readonly Scenario[] = [
  release({ name: 'helm release is rolled back', outcome: 'rolled-back' }, 'green'),
  release(
    {
      name: 'helm release is aborted and goes back',
      outcome: 'aborted',
      async people(place) {
        await place.decideWhen('paused', 'abort', 'on-call');
      },
    },
    'red',
  ),
];

async function upgrade(namespace: string, image: string, ...values: string[]): Promise<void> {
  const set = ['--set', `image=${image}`, ...values];
  await execa('helm', ['upgrade', '--install', name, chart, '-n', namespace, '--wait', ...set]);
}

interface Deployments {
  items: {
    metadata: { name: string };
    spec: { replicas: number; template: { spec: { containers: { image: string }[] } } };
  }[];
}

/** The release as helm and people find it; numbers of revisions are used up by interruptions. */
async function releaseWorld({ kubectl, namespace }: Place): Promise<object> {
  const { stdout } = await execa('helm', ['history', name, '-n', namespace, '-o', 'json']);
  const history = JSON.parse(stdout) as { status: string }[];
  const deployments = JSON.parse(await kubectl('get', 'deployments', '-o', 'json')) as Deployments;
  const pods = await kubectl(
    ...['get', 'pods', '-o', 'jsonpath={range .items[*]}{.spec.containers[0].image}{"\\n"}{end}'],
  );
  return {
    // Helm passes over a failure to call an earlier one superseded, and mends that the next time.
    history: history.map(({ status }, index) =>
      index < history.length - 1 && status === 'deployed' ? 'superseded' : status,
    ),
    deployments: deployments.items.map(({ metadata, spec }) => [
      ...[metadata.name, spec.replicas, spec.template.spec.containers[0]?.image],
    ]),
    pods: pods.split('\n').sort(),
  };
}
