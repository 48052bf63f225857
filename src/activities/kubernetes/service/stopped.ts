/**
 * What a run notes on a Service while its traffic is stopped. Where the run is ended from outside, nobody
 * would know without the note where the traffic went.
 */
import type { RunIdentity } from '../../../contract/plan.ts';
import type { JsonPatchOperation } from '../api.ts';
import { annotationPointer, markOf, readAnnotation, standingChangesBy } from '../objects.ts';
import {
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
  return [{ op: 'add', path, value: JSON.stringify(stopped) }];
}
