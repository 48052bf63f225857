import type { Progress } from '../../progress.ts';
import type { Archive, ArchiveEntry } from './archive.ts';

/** Weight in bytes of what has no size of its own. */
const least = 65_536;
/** What fills or builds; all else takes no time. */
const heavy = ['TABLE DATA', 'INDEX', 'CONSTRAINT', 'FK CONSTRAINT', 'MATERIALIZED VIEW DATA'];

/** How far a restore is, from what `pg_restore --verbose` says of each entry of the archive. */
export class RestoreProgress {
  private readonly progress: Progress;
  private readonly weights: Map<number, number>;
  private readonly total: number;
  private done = 0;

  /** @param sizes of tables and indexes in bytes, by schema and name */
  constructor(archive: Archive, sizes: ReadonlyMap<string, number>, progress: Progress) {
    this.progress = progress;
    const entries = archive.entries.filter(({ kind }) => heavy.includes(kind));
    this.weights = new Map(
      entries.map((entry) => [entry.id, Math.max(least, sizes.get(nameOf(entry)) ?? 0)]),
    );
    this.total = [...this.weights.values()].reduce((sum, weight) => sum + weight, 0);
    this.report('Restoring');
  }

  /** Looks at one line: with several jobs each item is told as it is finished. */
  see(line: string): void {
    const finished = /finished item (\d+) (.*)$/.exec(line);
    const begun = /(?:launching item|processing item) (\d+) (.*)$/.exec(line);
    const [, id, what = ''] = finished ?? begun ?? [];
    if (id === undefined) return;
    if (finished) {
      this.done += this.weights.get(Number(id)) ?? 0;
      this.weights.delete(Number(id));
    }
    if (heavy.some((kind) => what.startsWith(kind))) this.report(what);
  }

  private report(text: string): void {
    const percent = this.total === 0 ? 0 : Math.floor((this.done / this.total) * 100);
    this.progress.report(`${text} (${percent} %)`, percent, 100);
  }
}

/** Of a constraint, the list has its table first and its own name after it. */
function nameOf({ kind, name }: ArchiveEntry): string {
  const [schema = '', ...rest] = name.split(' ');
  return kind.endsWith('CONSTRAINT') ? `${schema} ${rest.at(-1)}` : name;
}
