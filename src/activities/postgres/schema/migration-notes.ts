/**
 * What runs note on the table of versions, in its comment: an attempt that was frozen before its
 * transaction must not take a step again that its run has undone since.
 */
import type { Client } from 'pg';
import type { RunIdentity } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import { joinComment, splitComment } from '../comments.ts';
import { literal } from '../database.ts';
import { isOfRun } from '../notes.ts';
import type { MigrationMandate } from './versions.ts';

interface MigrationNote extends RunIdentity {
  /** Ids of the run's changes that it has undone. */
  undone: string[];
  /** Version that it has reached. */
  version?: string;
  /** ISO 8601 */
  at: string;
}

/** @throws PlanStale where this run has undone the change already. */
export async function assertNotUndone(
  client: Client,
  table: string,
  { change, run, undo }: MigrationMandate,
): Promise<void> {
  const { note } = await read(client, table);
  if (undo || !note || !isOfRun(note, run) || !note.undone.includes(change.id)) return;
  throw stale(
    `This run has taken version ${change.before.version} back and put it on again already.`,
  );
}

export async function noteMigration(
  client: Client,
  table: string,
  { change, run, undo }: MigrationMandate,
): Promise<void> {
  const { comment, note } = await read(client, table);
  const undone = note && isOfRun(note, run) ? note.undone : [];
  const next: MigrationNote = {
    ...{ ...run, at: new Date().toISOString() },
    version: (undo ? change.before : change.after).version,
    undone: undo ? [...undone, change.id] : undone,
  };
  await client.query(`comment on table ${table} is ${literal(joinComment(comment, next) ?? '')}`);
}

/** What the run has noted, where it was the last to take steps of the schema and has taken none back. */
export async function standingMigration(
  client: Client,
  table: string,
  run: RunIdentity,
): Promise<Pick<MigrationNote, 'version' | 'at'> | undefined> {
  const { note } = await read(client, table);
  return note && isOfRun(note, run) && note.undone.length === 0 ? note : undefined;
}

async function read(client: Client, table: string) {
  const { rows } = await client.query<{ description: string | null }>(
    `select obj_description(to_regclass(${literal(table)}), 'pg_class') as description`,
  );
  return splitComment<MigrationNote>(rows[0]?.description ?? '');
}
