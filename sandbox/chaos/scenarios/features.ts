/** Feature flags of the example company and the cache that they are read through, disturbed. */
import { Redis } from 'ioredis';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { repository } from '../../setup/folders.mjs';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

interface Example {
  caches: { wakala: object };
  features: { wakala: object };
}

/** As they are shipped; the cache has keys of each place's own, since all share one server. */
function settings({ namespace, health }: Place): object {
  const text = readFileSync(join(repository, 'rollback.yaml'), 'utf8');
  const { caches, features } = parse(text) as Example;
  const wakala = { ...features.wakala, errorRate: { url: `${health}/error-rate` } };
  return {
    features: { wakala },
    caches: { wakala: { ...caches.wakala, prefixes: [`view:${namespace}:`] } },
  };
}

/** Sets a flag that is named after the place, and lets it be read, which caches it. */
async function prepareFlag({ namespace }: Place): Promise<void> {
  const { WAKALA_URL, WAKALA_ADMIN_TOKEN } = process.env;
  await fetch(`${WAKALA_URL}/admin/features`, {
    method: 'PATCH',
    headers: {
      authorization: `Bearer ${WAKALA_ADMIN_TOKEN}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ feature: namespace, enabled: true, rollout_percentage: 80 }),
  });
  await fetch(`${WAKALA_URL}/features/${namespace}`);
}

function featureFlag(
  about: Partial<Scenario> & Pick<Scenario, 'name'>,
  ...flags: string[]
): Scenario {
  return {
    settings,
    async prepare(place) {
      await prepareFlag(place);
      return ['feature', place.namespace, ...flags];
    },
    outcome: 'rolled-back',
    async world(place) {
      const served = await fetch(`${place.servers.WAKALA_URL}/features/${place.namespace}`);
      const { enabled, rollout_percentage } = (await served.json()) as Record<string, unknown>;
      const uid = `${place.wired.WAKALA_URL}/admin/features`;
      const isLocked = await place.isLocked('feature', place.namespace, uid);
      return { enabled, rollout_percentage, isLocked };
    },
    ...about,
  };
}

/** The error rate is 50 %. */
const gradual = ['--gradual', '--percentages', '50,25,0'];

export const featuresScenarios: readonly Scenario[] = [
  featureFlag({ name: 'feature is turned off' }),
  featureFlag(
    { name: 'feature is reduced share by share' },
    ...[...gradual, '--gate', '0.1', '--watch', '500ms'],
  ),
  featureFlag(
    { name: 'feature is reduced to the gate' },
    ...[...gradual, '--gate', '0.5', '--watch', '500ms'],
  ),
  featureFlag(
    {
      name: 'feature is aborted while it is watched',
      outcome: 'aborted',
      async people(place) {
        await place.decideWhen('executing', 'abort', 'on-call');
      },
    },
    ...[...gradual, '--watch', '1h'],
  ),
  {
    name: 'cache is cleared',
    settings,
    async prepare({ namespace }) {
      await withCache((cache) =>
        cache.mset(`view:${namespace}:1`, 'x', `session:${namespace}`, 'x'),
      );
      return ['cache', 'wakala'];
    },
    outcome: 'rolled-back',
    world: ({ namespace }) =>
      withCache(async (cache) =>
        (await cache.keys(`*${namespace}*`)).map((key) => key.replace(namespace, '')).sort(),
      ),
  },
];

async function withCache<T>(work: (cache: Redis) => Promise<T>): Promise<T> {
  const cache = new Redis(process.env.REDIS_URL ?? '');
  try {
    return await work(cache);
  } finally {
    cache.disconnect();
  }
}
