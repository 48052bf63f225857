/** The rollback of several services at once, one of which stands in a turn of its own. */
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';
import { deployBoth, deploymentWorld } from './deployment.ts';

const names = ['first', 'second', 'last'];

export const servicesScenarios: readonly Scenario[] = [
  {
    name: 'services are rolled back, in order',
    settings: ({ namespace }) => ({
      services: {
        ...Object.fromEntries(names.map((name) => [name, { namespace, deployment: name }])),
        last: { namespace, deployment: 'last', after: ['first', 'second'] },
      },
    }),
    async prepare(place) {
      await Promise.all(names.map((name) => deployBoth(place, name)));
      return ['services', ...names, '-n', place.namespace];
    },
    outcome: 'rolled-back',
    sideBySide: true,
    world: (place: Place) => Promise.all(names.map((name) => deploymentWorld(place, name))),
  },
];
