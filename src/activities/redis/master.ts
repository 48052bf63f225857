import type { Redis } from 'ioredis';
import { asCacheError, isClosed } from './errors.ts';

/** A master of a cache: of what it answers, an error says that it was this one. */
export class Master {
  private readonly redis: Redis;
  /** Name of the cache in the settings. */
  private readonly cache: string;
  private readonly address: string;
  /** Why its connection is closed, which is all that the command says that needed it. */
  private reason: Error | undefined;

  constructor(redis: Redis, cache: string, address: string) {
    this.redis = redis;
    this.cache = cache;
    this.address = address;
    redis.on('error', (error: Error) => {
      this.reason = error;
    });
  }

  /** @throws {CacheUnreachable} {CacheError} */
  async ask<T>(send: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await send(this.redis);
    } catch (error) {
      const { cache, address, reason } = this;
      throw asCacheError((isClosed(error) && reason) || error, cache, address);
    }
  }
}
