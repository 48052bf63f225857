import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import pg, { type Client } from 'pg';
import type { LoadedSettings } from '../../../config/settings.ts';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Comparison } from '../../kubernetes/deployment/compare-revisions.ts';
import type { Progress } from '../../progress.ts';
import { applicationName, Database } from '../database.ts';
import { saidBy } from '../errors.ts';
import { assertNotUndone, noteMigration } from './migration-notes.ts';
import { listScripts, readScript } from './script.ts';
import {
  becomeOwner,
  latestOf,
  type MigrationMandate,
  readVersions,
  type Versions,
  versionsOf,
} from './versions.ts';

/** One try for a lock is short, since all that comes later waits behind it. */
const lockWithin = '2s';
/** Where this worker is cut off, nobody must wait long for its locks. */
const idleLimit = `set local idle_in_transaction_session_timeout = '5s'`;
const tries = 15;
const betweenTriesMs = 1000;
/** Lock not available, or given up for others in a deadlock. */
const noLock = ['55P03', '40P01'];
/** Where this worker is killed, a long script ends with it, and not only when it is done; since PostgreSQL 14. */
const endWithWorker = `set client_connection_check_interval = '1s'`;

/**
 * Takes the schema one version down by the planned script, or, as an undo that somebody has signed,
 * up again: script, version and note in one transaction, which is there as a whole or not at all.
 * @throws PlanStale where the schema is at neither version, or the script is another one now.
 * @throws RejectedBySystem with what PostgreSQL says to the script; the schema is as it was then.
 */
export async function migrate(
  { settings }: LoadedSettings,
  mandate: MigrationMandate,
  progress: Progress,
): Promise<Effect> {
  const { change } = mandate;
  const database = new Database(settings, change.target.namespace);
  const versions = versionsOf(database);
  const files = await listScripts(versions.folder);
  const sql = await plannedSql(versions, files, mandate);
  return database.session(
    async (client) => {
      await database.assertIs(client, change.target);
      await client.query(endWithWorker).catch(() => undefined);
      await endEarlierAttempt(client, versions.table);
      for (let attempt = 1; ; attempt++) {
        progress.report(`Running its script, try ${attempt} of ${tries}`);
        try {
          return await inTransaction(client, mandate, { versions, files, sql });
        } catch (error) {
          await client.query('rollback').catch(() => undefined);
          if (!(error instanceof pg.DatabaseError) || !noLock.includes(error.code ?? ''))
            throw told(error, mandate);
          if (attempt === tries) throw await locked(client, mandate);
          progress.report(`A lock is not to be had; trying again, ${attempt} of ${tries}`);
          await delay(betweenTriesMs, undefined, { signal: progress.cancelled });
        }
      }
    },
    { statementMs: 0 },
  );
}

/** Rows that a step down has thrown away no script brings back: going up again is a person's decision. */
export async function compareSchema(
  { settings }: LoadedSettings,
  { change }: MigrationMandate,
): Promise<Comparison> {
  const database = new Database(settings, change.target.namespace);
  const versions = versionsOf(database);
  const files = await listScripts(versions.folder);
  const applied = await database.session((client) => readVersions(client, versions, files));
  const isTaken = latestOf(applied) !== change.before.version;
  return {
    // Also where nothing was taken back the undo runs: it notes that no late attempt may do so.
    ...{ beforeIsHealthier: !isTaken, nothingToUndo: false },
    text: isTaken
      ? 'which schema the services need nobody can measure here'
      : 'the schema was not changed',
  };
}

/**
 * Ends what is still at work of an attempt whose worker is gone. A run holds its target, so that no
 * other run of ours locks the versions of this database; a later attempt is left alone.
 */
async function endEarlierAttempt(client: Client, table: string): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where pid in (select pid from pg_locks
         where relation = to_regclass($1) and mode = 'ShareRowExclusiveLock'
           and database = (select oid from pg_database where datname = current_database()))
       and application_name = $2 and usename = current_user
       and backend_start < (select backend_start from pg_stat_activity where pid = pg_backend_pid())`,
    [table, applicationName],
  );
}

async function inTransaction(
  client: Client,
  mandate: MigrationMandate,
  { versions, files, sql }: { versions: Versions; files: string[]; sql: string },
): Promise<Effect> {
  const { change, undo, authority } = mandate;
  const { tool, table } = versions;
  const [from, to] = undo
    ? [change.after.version, change.before.version]
    : [change.before.version, change.after.version];
  await client.query(`begin; set local lock_timeout = '${lockWithin}'; ${idleLimit}`);
  // Whoever else migrates waits here, our own earlier attempt as well.
  await client.query(`lock table ${table} in share row exclusive mode`);
  const now = latestOf(await readVersions(client, versions, files));
  if (now === to) {
    // An attempt that was frozen on the way must not take it back once this is undone.
    if (undo) await noteMigration(client, table, mandate);
    await client.query('commit');
    return { changed: false, text: `The schema was already at version ${to}.` };
  }
  if (now !== from) {
    throw stale(
      `The schema is at version ${now}, and neither at ${from} nor at ${to}: somebody has migrated it. Nothing was changed; start again.`,
    );
  }
  if (undo && authority.abort === undefined) {
    throw stale(`The schema stays at version ${from}: nobody has signed that it goes on again.`);
  }
  await assertNotUndone(client, table, mandate);
  const before = await transactionId(client);
  await client.query(becomeOwner(table));
  await client.query(sql);
  // The versions, and the note on them, are the worker's again.
  await client.query(`reset role; ${idleLimit}`);
  if ((await transactionId(client)) !== before) {
    throw ApplicationFailure.nonRetryable(
      `Script ${scriptOf(mandate)} has ended the transaction that it ran in: look at what it has done before you go on.`,
      failureTypes.rejectedBySystem,
    );
  }
  // Many scripts record their version themselves.
  if (latestOf(await readVersions(client, versions, files)) === from) {
    await client.query(undo ? tool.recordUp(table, to) : tool.recordDown(table, from, to));
  }
  const recorded = latestOf(await readVersions(client, versions, files));
  if (recorded !== to) {
    throw ApplicationFailure.nonRetryable(
      `Script ${scriptOf(mandate)} would leave version ${recorded} in ${table}, and not ${to}: nothing was changed. Mend the script.`,
      failureTypes.rejectedBySystem,
    );
  }
  await noteMigration(client, table, mandate);
  await client.query('commit');
  return {
    changed: true,
    text: `Schema went from version ${from} to ${to} by ${scriptOf(mandate)}.`,
  };
}

/** @throws PlanStale */
async function plannedSql(
  { tool, folder }: Versions,
  files: readonly string[],
  { change: { before, after }, undo }: MigrationMandate,
): Promise<string> {
  const script = undo
    ? tool.up(files, before.version)
    : tool.down(files, before.version, after.version);
  const wanted = undo ? after.forwardSha256 : after.sha256;
  const found = script && (await readScript(folder, script));
  if (found && found.sha256 === wanted) return found.sql;
  throw stale(
    wanted === null
      ? `There is no script that brings version ${before.version} on again: do it by hand.`
      : `Script ${undo ? after.forward : after.script} is not what it was when the plan was made: nothing was changed; start again.`,
  );
}

function scriptOf({ change: { after }, undo }: MigrationMandate): string {
  return (undo ? after.forward : after.script) ?? '';
}

async function transactionId(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ id: string }>('select txid_current()::text as id');
  return rows[0]?.id;
}

/** What PostgreSQL says to the script. */
function told(error: unknown, mandate: MigrationMandate): unknown {
  if (!(error instanceof pg.DatabaseError) || /^(08|57P|53|28)/.test(error.code ?? ''))
    return error;
  const { position } = error;
  const at = position === undefined ? '' : ` (at character ${position})`;
  return ApplicationFailure.nonRetryable(
    `Script ${scriptOf(mandate)} fails with ${saidBy(error)}${at}. The schema is as it was.`,
    failureTypes.rejectedBySystem,
  );
}

/** Who is in the way, as far as one can see it afterwards. */
async function locked(client: Client, mandate: MigrationMandate): Promise<ApplicationFailure> {
  const { rows } = await client.query<{ who: string }>(
    `select pid || ' of ' || usename || ' (' || state || ' for '
       || extract(epoch from clock_timestamp() - xact_start)::int || ' s)' as who
     from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
       and backend_type = 'client backend'
     order by xact_start limit 5`,
  );
  const open = rows.map(({ who }) => who).join(', ');
  return ApplicationFailure.nonRetryable(
    `Script ${scriptOf(mandate)} got no lock within ${tries} tries of ${lockWithin}; open transactions: ${open || 'none now'}. The schema is as it was: end what is in the way (rollback transactions), then retry.`,
    failureTypes.rejectedBySystem,
  );
}
