/** Activities on caches in Redis, under the names that follow `redis.` in the contract. */
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import type { CacheMandate } from './cache-change.ts';
import { clearCache } from './clear-cache.ts';

export function redisActivities(parts: PlanningParts) {
  return {
    planClearing: planning(parts, 'cache'),
    clearCache: (mandate: CacheMandate) => clearCache(parts.settings, mandate, activityProgress()),
  };
}
export type RedisActivities = ReturnType<typeof redisActivities>;
