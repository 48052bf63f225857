/** Changes of R12, by reference. */
import type { Change, Mandate } from '../../../contract/plan.ts';

/** What a plan names a dump archive by, or a base backup. */
export type DumpReference = {
  /** Name of the file or folder. */
  backup: string;
  bytes: number;
  /** ISO 8601. */
  modifiedAt: string;
  /** SHA-256 of its list of contents, or of its manifest. */
  contents: string;
};
export type BackupReference = DumpReference & {
  /** ISO 8601; the time that a base backup is recovered to. */
  recoverTo: string | null;
};

/** A copy is made beside the live database, which goes on as it is. */
export interface RestoreChange extends Change<
  { copy: null },
  {
    copy: string;
    /** Of the copy, for PostgreSQL's programs, without a password; plans of earlier versions have none. */
    address?: string;
  } & BackupReference
> {
  kind: 'database/restore';
}
export type RestoreMandate = Mandate<RestoreChange>;

/** The copy and the live database change names, in one transaction. */
export interface SwapChange extends Change<
  { oid: number },
  {
    /** Name of the database that becomes the live one. */
    incoming: string;
    /** Id of the run that has put it aside, where that is undone later. */
    undoes: string | null;
  }
> {
  kind: 'database/swap';
}
export type SwapMandate = Mandate<SwapChange>;

const longestName = 63;

/** `wakala_restore_20250110T143000Z`: PostgreSQL cuts longer names off at 63 bytes. */
export function derivedName(name: string, word: string, at: Date): string {
  const time = at.toISOString().replace(/[-:]|\.\d+/g, '');
  const ending = `_${word}_${time}`;
  let start = name;
  while (Buffer.byteLength(start) > longestName - ending.length) {
    start = [...start].slice(0, -1).join('');
  }
  return `${start}${ending}`;
}
