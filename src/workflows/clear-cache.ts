import type { CacheChange } from '../activities/redis/cache-change.ts';
import { redis } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * `redis-cli FLUSHALL` of R18, by prefixes where the settings name them; FLUSHDB and FLUSHALL only where
 * that is asked for. What was cleared is made anew by whoever misses it, so nothing is taken back.
 */
export const clearCache = runbook('cache', {
  plan: (...request) => redis.planClearing(...request),

  async steps(run) {
    const change = run.change<CacheChange>('cache');
    const isFlush = change.change.kind !== 'cache/clear';
    await run.step(isFlush ? 'Flush the cache' : 'Clear the cache', {
      isNeeded: true,
      noWayBack: 'what was deleted is only made anew by whoever misses it',
      do: () => redis.clearCache(change),
    });
  },

  byHand: ({ targets }) =>
    targets.map(
      ({ namespace }) =>
        `See what is left in it: rollback cache ${namespace} --dry-run, or by hand: rollback plan cache ${namespace} --commands`,
    ),
});
