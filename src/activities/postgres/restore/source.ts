import type { BackupReference } from './restore-change.ts';

/** What a copy is made from, as a plan names and describes it. */
export interface Source {
  reference: BackupReference;
  /** Time that the copy is as of. */
  at: Date;
  /** What is restored, in words: `backup … of …`. */
  words: string;
  warnings: string[];
  /** What it cannot be restored for, a sentence each with what to do about it. */
  blockers?: string[];
  /** What a recovery takes of this worker's disk, where there is one. */
  scratch?: { folder: string; bytes: number };
  /** What comes before the copy is filled, in seconds. */
  seconds: number;
}
