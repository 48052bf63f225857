/** What a workload could go back to, as people read it. */
import { age, printJson, printLine, table } from '../output.ts';

export interface RevisionRow {
  revision: number;
  current: boolean;
  images: string[];
  /** Pods that are ready. */
  ready: number;
  createdAt: string | undefined;
  changeCause: string | undefined;
}

/** Prints revisions, newest first, as a table or as JSON. */
export function printRevisions(revisions: readonly RevisionRow[], json = false): void {
  if (json) return printJson(revisions);
  const rows = revisions.map((entry) => [
    `${entry.revision}${entry.current ? ' (current)' : ''}`,
    entry.images.join(', '),
    String(entry.ready),
    age(entry.createdAt),
    entry.changeCause ?? '',
  ]);
  for (const line of table(['REVISION', 'IMAGES', 'READY', 'AGE', 'CHANGE-CAUSE'], rows)) {
    printLine(line);
  }
}
