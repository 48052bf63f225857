/** Files of WAL by their numbers, and what is in an archive of them. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { refused } from '../../failures.ts';

/** `%08X%08X%08X` of timeline, and of the position in two parts; an archive may compress it. */
const segmentName = /^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})(\.(gz|lz4|zst|bz2|xz|br))?$/;
const bytesBelowHigh = 2 ** 32;

/** Number of the segment that has a position such as `0/2000028`, counted over all timelines. */
export function segmentAt(position: string, segmentBytes: number): number {
  const [high = 0, low = 0] = position.split('/').map((part) => Number.parseInt(part, 16));
  return high * (bytesBelowHigh / segmentBytes) + Math.floor(low / segmentBytes);
}

/** Number of the segment that a file has; undefined for histories and what is none. */
function segmentOf(file: string, segmentBytes: number): number | undefined {
  const [, high, low] = segmentName.exec(file) ?? [];
  if (high === undefined || low === undefined) return undefined;
  return Number.parseInt(high, 16) * (bytesBelowHigh / segmentBytes) + Number.parseInt(low, 16);
}

/** What an archive has for one recovery. */
export interface WalReach {
  /** Segments from the first one needed to the one that has the target, or the last. */
  segments: number;
  /** When the newest of them was archived; undefined where there is none. */
  newest: Date | undefined;
}

/**
 * Looks whether an archive has every segment from `first` to the time `to`.
 * @throws Refused where one is missing, which recovery would end at.
 */
export async function readReach(
  folder: string,
  { first, segmentBytes, to }: { first: number; segmentBytes: number; to: Date },
): Promise<WalReach> {
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw refused(
      `Folder ${folder} of archived WAL cannot be read on this worker (${error.code}): mount it, or name another in backups.recovery.wal.`,
    );
  });
  // The same segment may be there once for each of two timelines.
  const there = new Map<number, string>();
  for (const file of files) {
    const segment = segmentOf(file, segmentBytes);
    if (segment !== undefined && segment >= first) there.set(segment, file);
  }
  const sorted = [...there].toSorted(([one], [other]) => one - other);
  // Each look at a file may take a network's time, and there may be as many as days have.
  const archivedAt = async (index: number) =>
    (await stat(join(folder, sorted[index]?.[1] ?? ''))).mtime;
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await archivedAt(middle)) >= to) high = middle;
    else low = middle + 1;
  }
  const needed = sorted.slice(0, low + 1);
  const gap = needed.findIndex(([segment], index) => segment !== first + index);
  if (gap !== -1) {
    const missing = (needed[gap]?.[0] ?? 0) - first - gap;
    throw refused(
      `The archive ${folder} lacks WAL from the base backup on: after ${gap} segments, ${missing} are missing, and recovery would end there. Find them, or take a backup after them.`,
    );
  }
  const newest = needed.length === 0 ? undefined : await archivedAt(needed.length - 1);
  return { segments: needed.length, newest };
}
