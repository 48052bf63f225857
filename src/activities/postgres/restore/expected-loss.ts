/** Whom and what a rollback of data costs, as far as the live database tells. */
import type { Client } from 'pg';
import { counted, printable } from '../../../contract/printable.ts';
import { identifier } from '../database.ts';
import { type Found, notedBy } from '../notes.ts';
import type { Source } from './source.ts';

const mostTables = 20;
/** For all tables together; what is not counted by then is said to be unknown. */
const withinMs = 5000;
/** Columns that tell when a row was written, the best first. */
const timeColumns = ['updated_at', 'modified_at', 'changed_at', 'created_at', 'inserted_at'];

/**
 * Rows written since `since`, a sentence a table, the largest first; only tables with a column that
 * tells the time of a row are counted, and how many have none is said.
 */
export async function expectedLoss(client: Client, since: Date): Promise<string[]> {
  const { rows: tables } = await client.query<{
    schema: string;
    table: string;
    column: string | null;
  }>(
    `select n.nspname as schema, c.relname as table,
       (select a.attname from pg_attribute a
        where a.attrelid = c.oid and not a.attisdropped and a.attname = any ($1)
          and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype)
        order by array_position($1, a.attname::text) limit 1) as column
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition
       and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     order by c.reltuples desc`,
    [timeColumns],
  );
  const giveUp = Date.now() + withinMs;
  const lines: string[] = [];
  const unknown: string[] = [];
  for (const { schema, table, column } of tables.slice(0, mostTables)) {
    const name = `${schema}.${table}`;
    const later = column && (await countSince(client, { schema, table, column }, since, giveUp));
    if (!later) unknown.push(name);
    else if (later.rows > 0) {
      lines.push(
        `${name}: ${counted(later.rows, 'row')} of ${column} after ${since.toISOString()}, the newest ${later.newest}`,
      );
    }
  }
  if (unknown.length > 0)
    lines.push(`not known, for want of a time in each row: ${shown(unknown)}`);
  if (tables.length > mostTables) {
    lines.push(`not looked at: ${tables.length - mostTables} smaller tables`);
  }
  return lines;
}

async function countSince(
  client: Client,
  { schema, table, column }: { schema: string; table: string; column: string },
  since: Date,
  giveUp: number,
): Promise<{ rows: number; newest: string } | undefined> {
  const left = giveUp - Date.now();
  if (left <= 0) return undefined;
  try {
    await client.query(`set statement_timeout = ${Math.ceil(left)}`);
    const { rows } = await client.query<{ rows: string; newest: string | null }>(
      `select count(*) as rows, max(${identifier(column)})::text as newest
       from ${identifier(schema)}.${identifier(table)} where ${identifier(column)} > $1`,
      [since.toISOString()],
    );
    return { rows: Number(rows[0]?.rows ?? 0), newest: rows[0]?.newest ?? '' };
  } catch {
    // Too large to be counted in time, or not readable to the worker: said as unknown.
    return undefined;
  }
}

function shown(names: readonly string[]): string {
  const few = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${few} and ${names.length - 5} more` : few;
}

/**
 * What another restore throws away, where somebody has restored the live database already. What is as of
 * later than that has all that was written since, up to its own time.
 */
export function lossOfAnother(
  { note }: Found,
  { at, reference: { backup, recoverTo } }: Source,
): { warning: string; loss: string } | undefined {
  if (note?.state !== 'live' || note.backup === undefined) return undefined;
  if (at > new Date(note.at)) return undefined;
  const isSame = note.backup === backup && recoverTo === null;
  const from = isSame ? 'this very backup' : `backup ${printable(note.backup)}`;
  const run = notedBy(note);
  return {
    warning: `The live database was restored from ${from} by ${run} at ${note.at}: everything written since then is lost by restoring again.`,
    loss: `everything written since ${note.at}, when ${run} restored the live database from ${from}`,
  };
}

/** Who has sessions there, by application, user and machine. */
export async function consumersOf(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{ who: string }>(
    `select coalesce(nullif(application_name, ''), 'unnamed') || ' as ' || usename || ' from '
       || coalesce(host(client_addr), 'local') || ', ' || count(*) || ' sessions' as who
     from pg_stat_activity where datname = $1 and backend_type = 'client backend'
     group by application_name, usename, client_addr order by count(*) desc limit 20`,
    [name],
  );
  return rows.map(({ who }) => who);
}
