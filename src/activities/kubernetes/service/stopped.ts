/**
 * What a run notes on a Service while its traffic is stopped. Where the run is ended from outside, nobody
 * would know without the note where the traffic went.
 */
import type { Plan, RunIdentity } from '../../../contract/plan.ts';
import type { JsonPatchOperation } from '../api.ts';
import { byHand } from '../deployment/annotations.ts';
import { annotationPointer, markOf, readAnnotation, standingChangesBy } from '../objects.ts';
import {
  type SelectorChange,
  selectorEnds,
  type SelectorMandate,
  selectorText,
  type Service,
  stopsTraffic,
} from './service.ts';

const stoppedAnnotation = 'rollback-workflows/stopped';

/** Value of the annotation. */
export interface Stopped {
  /** The selector before, and the one that stops the traffic. */
  from: string;
  to: string;
  /** Name of the StatefulSet that it was stopped for. */
  statefulSet: string;
  run: RunIdentity;
}

/** Who has stopped the Service's traffic; undefined where nobody did, or it was switched elsewhere since. */
export function standingStop(service: Service): Stopped | undefined {
  const stopped = readAnnotation<Stopped>(service, stoppedAnnotation);
  return stopped?.to === selectorText(service.spec?.selector) ? stopped : undefined;
}

/** The run that has stopped the Service's traffic and not resumed it, as far as its mark tells. */
export function markedStop(service: Service): RunIdentity | undefined {
  const mark = markOf(service);
  if (!mark) return undefined;
  // Those of a plan for several regions have the region in front.
  const standing = standingChangesBy(service, mark).map((id) => id.split(':').at(-1));
  return standing.includes('stop') && !standing.includes('resume') ? mark : undefined;
}

/** Notes that the traffic is stopped, or takes the note back where it goes on. */
export function stopOperations(service: Service, mandate: SelectorMandate): JsonPatchOperation[] {
  const path = annotationPointer(stoppedAnnotation);
  if (!stopsTraffic(mandate)) {
    const isNoted = service.metadata?.annotations?.[stoppedAnnotation] !== undefined;
    return isNoted ? [{ op: 'remove', path }] : [];
  }
  return [{ op: 'add', path, value: noteOf(mandate) }];
}

/** The note where the commands of `rollback plan --commands` stop the traffic, which have no run. */
export function stopByHand(
  service: Service,
  change: SelectorChange,
  plan: Plan,
): JsonPatchOperation[] {
  const add = {
    op: 'add',
    path: annotationPointer(stoppedAnnotation),
    value: noteByHand(change, plan),
  } as const;
  if (service.metadata?.annotations) return [add];
  const path = '/metadata/annotations';
  return [{ op: 'test', path, value: null }, { op: 'add', path, value: {} }, add];
}

/**
 * Takes the note back where those commands resume the traffic: the one that they have made themselves, or
 * that was there before, and nobody's who has stopped the traffic since.
 */
export function resumeByHand(
  service: Service,
  { target }: SelectorChange,
  plan: Plan,
): JsonPatchOperation[] {
  const stop = plan.changes.find(
    (change) => change.kind === 'service/stop' && change.target.uid === target.uid,
  );
  const value = stop
    ? noteByHand(stop as SelectorChange, plan)
    : service.metadata?.annotations?.[stoppedAnnotation];
  const path = annotationPointer(stoppedAnnotation);
  return value === undefined
    ? []
    : [
        { op: 'test', path, value },
        { op: 'remove', path },
      ];
}

function noteByHand(change: SelectorChange, plan: Plan): string {
  const run = { workflowId: byHand, firstRunId: '' };
  return noteOf({ change, plan, run, undo: false });
}

/** Value of the annotation. */
function noteOf(
  mandate: Pick<SelectorMandate, 'change' | 'run' | 'undo'> & { plan: Pick<Plan, 'targets'> },
): string {
  const { change, plan, run } = mandate;
  const { workflowId, firstRunId } = run;
  const behind = plan.targets.find(
    ({ kind, context, namespace }) =>
      kind === 'statefulset' &&
      context === change.target.context &&
      namespace === change.target.namespace,
  );
  const stopped: Stopped = {
    ...selectorEnds(mandate),
    ...{ statefulSet: behind?.name ?? '', run: { workflowId, firstRunId } },
  };
  return JSON.stringify(stopped);
}
