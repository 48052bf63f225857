/** What must hold of a live database all the time, whatever happens to the run that replaces it. */
import type { Place } from './place.ts';
import type { Witness } from './scenario.ts';
import { DatabaseWitness } from './witness.ts';

/** A name that is renamed must be there again within that time, without anybody's help. */
const usableWithinMs = 3000;
/** A server that was killed reads its log first. */
const servingWithinMs = 30_000;
/** PgBouncer waits that long before it tries a server again that has refused it, and a pause may be on. */
const pooledWithinMs = 30_000;
/** Rows of the scenario have lower numbers. */
const firstOwn = 1000;

/**
 * Writes and reads all the time: there is always a database of the name, it can be used, it has the rows
 * from before or those from after and nothing in between, and no write that was acknowledged is lost.
 * @param wholes what the scenario's rows may be
 */
export function watchLiveDatabase(
  place: Place,
  wholes: readonly (readonly number[])[],
  { pooled = false } = {},
): Witness {
  const { namespace: live } = place;
  const allowed = wholes.map((ids) => ids.join(','));
  const acknowledged: number[] = [];
  let next = firstOwn;
  const user = new DatabaseWitness(place.databaseUrl(live), async (client) => {
    const id = next++;
    await client.query('insert into orders values ($1)', [id]);
    acknowledged.push(id);
    const { rows } = await client.query<{ ids: string }>(
      `select string_agg(id::text, ',' order by id) as ids from orders where id < ${firstOwn}`,
    );
    const ids = rows[0]?.ids ?? '';
    return allowed.includes(ids) ? undefined : `the live database has orders ${ids}`;
  });
  const namer = new DatabaseWitness(place.databaseUrl('postgres'), async (client) => {
    const named = 'select from pg_database where datname = $1';
    const { rowCount } = await client.query(named, [live]);
    return rowCount === 1 ? undefined : 'no database has the live name';
  });
  const poolUser = pooled
    ? new DatabaseWitness(place.databaseUrl(live, place.servers.PGBOUNCER_URL), async (client) => {
        await client.query('select count(*) from orders');
        return undefined;
      })
    : undefined;
  return {
    async end() {
      // What the database next to it could not do either, no rename has done.
      const serverAwayMs = await namer.stop();
      const seen = await Promise.all([
        user.end(usableWithinMs + serverAwayMs),
        namer.end(servingWithinMs),
        poolUser?.end(pooledWithinMs) ?? [],
      ]);
      const kept = new Set<number>();
      for (const name of await place.databases()) {
        for (const { id } of await place.sql(name, `select id from orders`)) kept.add(Number(id));
      }
      const lost = acknowledged.filter((id) => !kept.has(id));
      const told = `${lost.length} of ${acknowledged.length} acknowledged writes are lost`;
      return [...seen.flat(), ...(lost.length > 0 ? [told] : [])];
    },
  };
}
