/** The changes of a StatefulSet rollback, and how they read from either end. */
import type { Change, Mandate } from '../../../contract/plan.ts';
import type { Cluster } from '../api.ts';
import { readTarget } from '../objects.ts';
import { imagesOf } from '../templates.ts';
import { historyOf, type StatefulSet, type StatefulSetHistory } from './revisions.ts';

/** A revision by reference. */
export type TemplateReference = {
  revision: number | null;
  /** Name and UID of the ControllerRevision; null for a template that none has recorded yet. */
  name: string | null;
  controllerRevision: string | null;
  /** SHA-256 of the pod template. */
  template: string;
};
export type TemplateChange = Change<
  TemplateReference,
  TemplateReference & {
    /** Pods below this ordinal keep the version that they have. */
    fromOrdinal: number;
    /** Whether the run deletes the pods, because the controller replaces none. */
    onDelete: boolean;
  }
>;
export type TemplateMandate = Mandate<TemplateChange>;

/** Where a mandate comes from and goes to: the other way round for an undo. */
export function templateEnds({ change, undo }: TemplateMandate): {
  from: TemplateReference;
  to: TemplateReference;
} {
  const { before, after } = change;
  return undo ? { from: after, to: before } : { from: before, to: after };
}

/** Where a pod's state is, and where its archives are kept. */
export type StatePlace = {
  pod: string;
  container: string;
  /** Folder of the archives in the container. */
  folder: string;
};

/** The state of one pod is put into an archive; nothing that was there before changes. */
export type BackupChange = Change<
  Record<string, never>,
  StatePlace & {
    /** Folders that are archived, with `:` between them as in PATH. */
    data: string;
  }
>;
export type BackupMandate = Mandate<BackupChange>;

/** The state of one pod is overwritten with what an archive has. */
export type StateChange = Change<
  {
    /** Whether the run has an archive of the state that it overwrites. */
    backedUp: boolean;
  },
  StatePlace & {
    /** Name of the archive in the folder. */
    archive: string;
    bytes: number;
    sha256: string | null;
  }
>;
export type StateMandate = Mandate<StateChange>;

/**
 * Reads the StatefulSet that the mandate names, by its UID, with its history.
 * @throws PlanStale where it is gone or another one has its name.
 */
export async function readTargetHistory(
  cluster: Cluster,
  { change: { target } }: TemplateMandate,
): Promise<StatefulSetHistory> {
  return historyOf(cluster, await readTarget<StatefulSet>(cluster, target));
}

/** Says which revision stands there now, for messages. */
export function standing({ statefulSet, current }: StatefulSetHistory): string {
  const images = imagesOf(statefulSet.spec?.template).join(', ');
  return current
    ? `revision ${current.revision} (${images})`
    : `a template without a revision (${images})`;
}
