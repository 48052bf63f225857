/** The database that a backup is restored into, beside the live one. */
import { ApplicationFailure } from '@temporalio/common';
import type { Client } from 'pg';
import { failureTypes } from '../../../contract/failures.ts';
import type { RunIdentity } from '../../../contract/plan.ts';
import { type Database, identifier } from '../database.ts';
import { type Found, isOfRun, type Note, noteSql, readDatabases } from '../notes.ts';
import type { RestoreMandate } from './restore-change.ts';

/** The databases that a mandate is about, as they stand. */
export interface Standing {
  live: Found | undefined;
  copy: Found | undefined;
}

export async function readStanding(
  client: Client,
  { target, after }: RestoreMandate['change'],
): Promise<Standing> {
  const all = await readDatabases(client);
  return {
    live: all.find(({ name }) => name === target.name),
    copy: all.find(({ name }) => name === after.copy),
  };
}

/**
 * Makes the copy anew, empty, as the live database is: encoding, locale, owner, tablespace. What an
 * earlier attempt has left of it goes first, with its sessions: an orphaned pg_restore may still write.
 * @throws RejectedBySystem where a database of that name is none that a run has made.
 */
export async function makeCopy(
  database: Database,
  client: Client,
  { copy }: Standing,
  { change, run }: Pick<RestoreMandate, 'change' | 'run'>,
): Promise<void> {
  const { copy: name } = change.after;
  if (copy) await dropCopy(database, client, copy);
  const { rows } = await client.query<{ options: string }>(optionsSql, [change.target.name]);
  await client.query(`create database ${identifier(name)} template template0 ${rows[0]?.options}`);
  await client.query(noteSql(name, undefined, noteOf(change, run, 'begun')));
}

/** @throws RejectedBySystem where it is not known to be a copy of a run's, or is one that was live. */
export async function dropCopy(database: Database, client: Client, copy: Found): Promise<void> {
  const isCopy = copy.note && ['begun', 'restored'].includes(copy.note.state);
  // A worker may have been killed between making it and noting that it has.
  if (!isCopy && (copy.note || !(await isEmpty(database, copy)))) {
    throw ApplicationFailure.nonRetryable(
      `Database ${copy.name} on ${database.address} is no copy that a run has left: rename or drop it yourself, then try again.`,
      failureTypes.rejectedBySystem,
    );
  }
  await client.query(`drop database if exists ${identifier(copy.name)} with (force)`);
}

export function noteOf(
  { target, after }: RestoreMandate['change'],
  run: RunIdentity,
  state: Note['state'],
): Note {
  return { ...run, state, of: target.name, backup: after.backup, at: new Date().toISOString() };
}

/** Whether the copy is this run's and whole. */
export function isRestored({ copy }: Standing, run: RunIdentity): boolean {
  return copy?.note?.state === 'restored' && isOfRun(copy.note, run);
}

/** Whether this run's copy has become the live database. */
export function isLive({ live }: Standing, run: RunIdentity): boolean {
  return live?.note?.state === 'live' && isOfRun(live.note, run);
}

async function isEmpty(database: Database, { name }: Found): Promise<boolean> {
  return database.session(
    async (client) => {
      const { rows } = await client.query(
        `select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' limit 1`,
      );
      return rows.length === 0;
    },
    { database: name },
  );
}

/** What CREATE DATABASE is told, from pg_database; columns for ICU came with PostgreSQL 15. */
const optionsSql = `
  select format('owner %I encoding %L lc_collate %L lc_ctype %L',
      pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)
    -- To name even the default one takes a right on it.
    || case when t.spcname <> 'pg_default' then format(' tablespace %I', t.spcname) else '' end
    || case when to_jsonb(d)->>'datlocprovider' = 'i'
         then format(' locale_provider icu icu_locale %L',
           coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale'))
         else '' end as options
  from pg_database d join pg_tablespace t on t.oid = d.dattablespace
  where d.datname = $1`;
