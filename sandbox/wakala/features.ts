import { Redis } from 'ioredis';
import pg from 'pg';
import { z } from 'zod';

/** What `PATCH /admin/features` takes: what is left out stays as it is. */
export const featureChange = z.strictObject({
  feature: z.string().regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/i),
  enabled: z.boolean().optional(),
  rollout_percentage: z.number().min(0).max(100).optional(),
});

const featureSchema = z.object({
  feature: z.string(),
  enabled: z.boolean(),
  rollout_percentage: z.number(),
});

/** A feature flag as it is read. */
export type Feature = z.infer<typeof featureSchema>;

const cachedSeconds = 60;
const undefinedTable = '42P01';

const tableSql = `
  create table if not exists features (
    name text primary key,
    enabled boolean not null default false,
    rollout_percentage double precision not null default 0,
    updated_at timestamptz not null default now()
  )`;

const upsertSql = `
  insert into features (name, enabled, rollout_percentage)
  values ($1, coalesce($2, false), coalesce($3, case when $2 then 100 else 0 end))
  on conflict (name) do update set
    enabled = coalesce($2, features.enabled),
    rollout_percentage = coalesce($3, features.rollout_percentage),
    updated_at = now()
  returning name as feature, enabled, rollout_percentage`;

const selectSql = `
  select name as feature, enabled, rollout_percentage from features where name = $1`;

/** Feature flags in PostgreSQL, read through a cache in Redis. */
export class Features {
  readonly #pool: pg.Pool;
  readonly #cache: Redis;

  constructor(databaseUrl: string, redisUrl: string) {
    this.#pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
    this.#cache = new Redis(redisUrl, { maxRetriesPerRequest: 1, enableOfflineQueue: false });
    // Either server may be restarted, and a rollback of data ends all sessions: both clients
    // connect again by themselves.
    this.#pool.on('error', (error) => console.error(`database: ${error.message}`));
    this.#cache.on('error', (error: Error) => console.error(`cache: ${error.message}`));
  }

  /**
   * Changes a flag. The cache is left alone, as in the company that this stands for: a flag that
   * is switched off is really off only once the cache was flushed or forgot it.
   */
  async change(change: z.infer<typeof featureChange>): Promise<Feature> {
    const { feature, enabled = null, rollout_percentage: percentage = null } = change;
    const upsert = () => this.#pool.query(upsertSql, [feature, enabled, percentage]);
    const { rows } = await upsert().catch(async (error: unknown) => {
      if (!isUndefinedTable(error)) throw error;
      await this.#pool.query(tableSql);
      return upsert();
    });
    return featureSchema.parse(rows[0]);
  }

  /** Reads a flag where it is kept; undefined if there is none of that name. */
  async stored(name: string): Promise<Feature | undefined> {
    const { rows } = await this.#pool.query(selectSql, [name]).catch((error: unknown) => {
      if (isUndefinedTable(error)) return { rows: [] };
      throw error;
    });
    return rows.length === 0 ? undefined : featureSchema.parse(rows[0]);
  }

  /** Reads a flag, and whether it came from the cache; undefined if there is none of that name. */
  async read(name: string): Promise<{ feature: Feature; cached: boolean } | undefined> {
    const key = `feature:${name}`;
    const cached = await this.#cache.get(key).catch(() => null);
    if (cached) return { feature: featureSchema.parse(JSON.parse(cached)), cached: true };
    const feature = await this.stored(name);
    if (!feature) return undefined;
    await this.#cache.set(key, JSON.stringify(feature), 'EX', cachedSeconds).catch(() => null);
    return { feature, cached: false };
  }
}

function isUndefinedTable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === undefinedTable;
}
