/**
 * What runs note on databases, in their comments: the one trace that nobody can make who may only
 * write to Temporal. It stands behind whatever else the comment says.
 */
import type { Client } from 'pg';
import type { RunIdentity } from '../../contract/plan.ts';
import { printable } from '../../contract/printable.ts';
import { joinComment, splitComment } from './comments.ts';
import { identifier, literal } from './database.ts';

/** Where a database stands that a run has made or put aside. */
export type NoteState =
  /** A copy that is being restored. */
  | 'begun'
  /** A copy that is whole. */
  | 'restored'
  /** A copy that has taken the live database's name. */
  | 'live'
  /** What was live before. */
  | 'old'
  /** A copy that was live, until the swap was undone. */
  | 'undone';

export interface Note extends RunIdentity {
  state: NoteState;
  /** Name of the live database. */
  of: string;
  /** Name of the backup that a copy was restored from. */
  backup?: string;
  /** ISO 8601; when it came into this state. */
  at: string;
  /** What it said before the swap, to which an undo goes back. */
  was?: Omit<Note, 'was'>;
  /** Run that was aborted before it had swapped this in, and must not do so any more. */
  withdrawn?: RunIdentity;
}

/** A database of the server, as it stands. */
export interface Found {
  oid: number;
  name: string;
  /** Its comment without the note. */
  comment: string | undefined;
  note: Note | undefined;
}

/** All databases of the server but templates. */
export async function readDatabases(client: Client): Promise<Found[]> {
  const { rows } = await client.query<{ oid: number; name: string; description: string | null }>(
    `select oid::int8::float8 as oid, datname as name,
            shobj_description(oid, 'pg_database') as description
     from pg_database where not datistemplate`,
  );
  return rows.map(({ description, ...row }) => ({
    ...row,
    ...splitComment<Note>(description ?? ''),
  }));
}

/** Bytes of a database on disk, which takes the server a look at each of its files; 0 where that is not allowed. */
export async function sizeOf(client: Client, name: string): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    `select pg_database_size(oid) as bytes from pg_database
     where datname = $1 and has_database_privilege(oid, 'connect')`,
    [name],
  );
  return Number(rows[0]?.bytes ?? 0);
}

/** Statement that sets the note of a database, and leaves the rest of its comment. */
export function noteSql(name: string, comment: string | undefined, note: Note | undefined): string {
  const text = joinComment(comment, note);
  return `comment on database ${identifier(name)} is ${text === undefined ? 'null' : literal(text)}`;
}

/** Stands for the run where the commands of `rollback plan --commands` have done it. */
export const byHand: RunIdentity = { workflowId: 'by-hand', firstRunId: '' };

/** Who has made a note, in words. */
export function notedBy(note: RunIdentity): string {
  return isOfRun(note, byHand)
    ? 'the commands of rollback plan'
    : `run ${printable(note.workflowId)}`;
}

export function isOfRun(note: RunIdentity | undefined, run: RunIdentity): boolean {
  return note?.workflowId === run.workflowId && note.firstRunId === run.firstRunId;
}
