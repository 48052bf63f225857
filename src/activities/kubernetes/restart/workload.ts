/** What runs pods and can be restarted: a Deployment or a StatefulSet. */
import type { V1Deployment, V1StatefulSet } from '@kubernetes/client-node';
import type { Change, Mandate, RunIdentity } from '../../../contract/plan.ts';
import type { Wire } from '../api.ts';
import { readAnnotation } from '../objects.ts';
import { versionDigest } from '../templates.ts';

export type Deployment = Wire<V1Deployment>;
export type StatefulSet = Wire<V1StatefulSet>;
export type Workload = Deployment | StatefulSet;
export type WorkloadKind = 'deployment' | 'statefulset';

export type RestartReference = {
  /** SHA-256 of the pod template, whenever it was restarted. */
  template: string;
  /** Whether this run has restarted it, and has not taken that back. */
  restarted: boolean;
};
export interface RestartChange extends Change<RestartReference, RestartReference> {
  kind: 'deployment/restart' | 'statefulset/restart';
}
export type RestartMandate = Mandate<RestartChange>;

export const restartNoteAnnotation = 'rollback-workflows/restarted';

/** Value of the annotation: by which change of which run the workload was last restarted. */
interface RestartNote extends RunIdentity {
  change: string;
  /** Restarted once more, to take the first one back. */
  undone: boolean;
}

export function restartNote({ change, undo, run }: RestartMandate): string {
  const note: RestartNote = { ...run, change: change.id, undone: undo };
  return JSON.stringify(note);
}

/** The workload as a run's restart finds it. */
export function restartState(
  workload: Workload,
  { change, run }: Pick<RestartMandate, 'change' | 'run'>,
): RestartReference {
  const note = readAnnotation<RestartNote>(workload, restartNoteAnnotation);
  const isOurs =
    note?.workflowId === run.workflowId &&
    note.firstRunId === run.firstRunId &&
    note.change === change.id;
  return {
    template: versionDigest(workload.spec?.template),
    restarted: isOurs && !note.undone,
  };
}
