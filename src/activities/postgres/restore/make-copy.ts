/** The database that a backup is restored into, beside the live one. */
import { ApplicationFailure } from '@temporalio/common';
import pg, { type Client } from 'pg';
import { failureTypes } from '../../../contract/failures.ts';
import type { RunIdentity } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
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
 * @throws PlanStale where the run has made it whole meanwhile.
 */
export async function makeCopy(
  database: Database,
  client: Client,
  { change, run }: Pick<RestoreMandate, 'change' | 'run'>,
): Promise<number> {
  const { copy: name } = change.after;
  const standing = await readStanding(client, change);
  if (isLive(standing, run) || isRestored(standing, run)) {
    throw stale(`Copy ${name} was made by another attempt meanwhile.`);
  }
  const { copy } = standing;
  if (copy) await dropCopy(database, client, copy, { change, run });
  const { rows } = await client.query<{ options: string }>(optionsSql, [change.target.name]);
  await client.query(`create database ${identifier(name)} template template0 ${rows[0]?.options}`);
  // Nothing is lost by not waiting for the disk: what is written into the copy later gets there after it,
  // and a copy without note that nothing is in is known as bare.
  const note = noteSql(name, undefined, noteOf(change, run, 'begun'));
  await client.query(`begin; set local synchronous_commit = off; ${note}; commit`);
  return oidOf(client, name);
}

/**
 * Notes that the copy of this OID is whole.
 * @throws PlanStale where the name is another database's by now, which another attempt is filling.
 */
export async function noteRestored(
  client: Client,
  oid: number,
  { change, run }: Pick<RestoreMandate, 'change' | 'run'>,
): Promise<void> {
  const { copy } = change.after;
  await client.query('begin');
  // The comment's lock keeps the database from being dropped or renamed until the end.
  await client.query(noteSql(copy, undefined, noteOf(change, run, 'restored')));
  if ((await oidOf(client, copy)) !== oid) {
    await client.query('rollback');
    throw stale(`Copy ${copy} was made anew by another attempt, which goes on with it.`);
  }
  await client.query('commit');
}

async function oidOf(client: Client, name: string): Promise<number> {
  const { rows } = await client.query<{ oid: number }>(
    'select oid::int8::float8 as oid from pg_database where datname = $1',
    [name],
  );
  return rows[0]?.oid ?? 0;
}

/**
 * Drops a copy of the run's own, or one of this database that was never whole: a whole one of another
 * run may be in use.
 * @throws RejectedBySystem for all others.
 */
export async function dropCopy(
  database: Database,
  client: Client,
  copy: Found,
  { change, run }: Pick<RestoreMandate, 'change' | 'run'>,
): Promise<void> {
  const { note } = copy;
  const isOwn = isOfRun(note, run) && note?.state === 'restored';
  const isUnfinished = note?.state === 'begun' && note.of === change.target.name;
  if (!isOwn && !isUnfinished && !(await isBare(database, copy))) {
    throw rejected(
      `Database ${copy.name} on ${database.address} is no copy that this run has made: rename or drop it yourself, then try again.`,
    );
  }
  try {
    await client.query(`drop database if exists ${identifier(copy.name)} with (force)`);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    throw rejected(
      `Copy ${copy.name} on ${database.address} cannot be dropped: ${error.message}. See to that, then try again.`,
    );
  }
}

/** Drops what this attempt has begun, unless another attempt has taken its place. */
export async function dropUnfinished(
  client: Client,
  oid: number,
  { after }: RestoreMandate['change'],
): Promise<void> {
  if ((await oidOf(client, after.copy)) !== oid) return;
  await client.query(`drop database ${identifier(after.copy)} with (force)`);
}

function rejected(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.rejectedBySystem);
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

/** Whether it is empty and without a note: a worker may have been killed between making it and noting that it has. */
export async function isBare(database: Database, { name, note }: Found): Promise<boolean> {
  if (note) return false;
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

/**
 * What CREATE DATABASE is told, from pg_database; columns for ICU came with PostgreSQL 15. To name even
 * the default tablespace takes a right on it; the provider of the locale, not named, would be template0's.
 */
export const optionsSql = `
  select format('owner %I encoding %L lc_collate %L lc_ctype %L',
      pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)
    || case when t.spcname <> 'pg_default' then format(' tablespace %I', t.spcname) else '' end
    || case to_jsonb(d)->>'datlocprovider'
         when 'c' then ' locale_provider libc'
         when 'i' then format(' locale_provider icu icu_locale %L',
           coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale'))
         when 'b' then format(' locale_provider builtin builtin_locale %L', to_jsonb(d)->>'datlocale')
         else '' end
    || case when to_jsonb(d)->>'daticurules' is null then ''
         else format(' icu_rules %L', to_jsonb(d)->>'daticurules') end as options
  from pg_database d join pg_tablespace t on t.oid = d.dattablespace
  where d.datname = $1`;
