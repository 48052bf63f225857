import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Effect } from '../../../contract/plan.ts';
import { counted } from '../../../contract/printable.ts';
import type { Progress } from '../../progress.ts';
import type { Clusters } from '../api.ts';
import { PodCommandFailed } from '../pod-command-failed.ts';
import { readTarget } from '../objects.ts';
import {
  archiveName,
  archivePrefix,
  Archives,
  completeOf,
  partialName,
  partialsOf,
  vouchesFor,
} from './archives.ts';
import type { StatefulSet } from './revisions.ts';
import type { BackupMandate } from './stateful-set-change.ts';

const sizeEveryMs = 1000;

/**
 * Archives the state of one pod, in the pod. The archive's name is the run's and has its checksum in
 * it; it gets that name only when it was listed to its end, so that whatever has the name is whole.
 * Every attempt writes a file of its own: a killed worker's tar may still go on in the pod.
 * @throws PodCommandFailed where it cannot be made, or would have nothing in it.
 * @throws PlanStale where the StatefulSet is gone.
 */
export async function backUpState(
  clusters: Clusters,
  { change, run }: BackupMandate,
  progress: Progress,
): Promise<Effect> {
  const { target, after } = change;
  const cluster = clusters.of(target.context);
  await readTarget<StatefulSet>(cluster, target);
  const { namespace } = target;
  const archives = new Archives(cluster, { namespace, ...after }, after.folder, progress.cancelled);
  const prefix = archivePrefix(run, after.pod);

  const files = await archives.list();
  if (files.length === 0) await archives.makeFolder();
  const complete = completeOf(prefix, files);
  if (complete !== undefined) {
    const sha256 = await archives.sha256(complete);
    if (vouchesFor(complete, sha256)) {
      const { bytes = 0 } = (await archives.find(complete)) ?? {};
      return { changed: true, text: `${wordsOf(archives.pathOf(complete), bytes, sha256)}.` };
    }
  }
  // What an earlier attempt left is of no use: nobody knows how its tar has ended, or will.
  await archives.remove([...partialsOf(prefix, files), ...(complete ? [complete] : [])]);

  const partial = partialName(prefix, randomUUID().slice(0, 8));
  try {
    const remark = await watched(archives, partial, progress, () =>
      archives.create(partial, after.data.split(':')),
    );
    progress.report('Reading the archive');
    const [count, sha256, found] = await Promise.all([
      archives.count(partial),
      archives.sha256(partial),
      archives.find(partial),
    ]);
    if (count === 0) {
      throw new PodCommandFailed(
        `The archive of ${after.data} in pod ${after.pod} has no file in it, so it is no backup: look where the state is, and name it as state.data in the settings.`,
      );
    }
    const name = archiveName(prefix, sha256);
    await archives.rename(partial, name);
    const words = [
      wordsOf(archives.pathOf(name), found?.bytes ?? 0, sha256),
      counted(count, 'file'),
      remark,
    ];
    return { changed: true, text: `${words.filter(Boolean).join(', ')}.` };
  } catch (error) {
    if (error instanceof PodCommandFailed) await archives.remove([partial]);
    throw error;
  }
}

/** Reports how large the file is while it is written. */
async function watched<T>(
  archives: Archives,
  file: string,
  progress: Progress,
  action: () => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const reporting = (async () => {
    while (!over.signal.aborted) {
      await delay(sizeEveryMs, undefined, { signal: over.signal });
      const { bytes } = (await archives.find(file)) ?? {};
      if (bytes !== undefined) progress.report(`${formatBytes(bytes)} archived`, bytes);
    }
  })().catch(() => undefined);
  try {
    return await action();
  } finally {
    over.abort();
    await reporting;
  }
}

function wordsOf(path: string, bytes: number, sha256: string): string {
  return `${path}: ${formatBytes(bytes)}, SHA-256 ${sha256}`;
}

/** `1,234 bytes`. */
export function formatBytes(bytes: number): string {
  return `${bytes.toLocaleString('en-US')} bytes`;
}
