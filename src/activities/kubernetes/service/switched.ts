/**
 * What a rollback notes on a Service whose traffic it switched. Blue and green are alike: without the
 * note, a second run would find blue live and go back to the bad green.
 */
import type { Mandate } from '../../../contract/plan.ts';
import type { JsonPatchOperation } from '../api.ts';
import { byHand } from '../deployment/annotations.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { annotationPointer, readAnnotation } from '../objects.ts';
import { carriersOf, versionOf } from './carriers.ts';
import {
  type SelectorChange,
  type SelectorReference,
  selectorText,
  type Service,
} from './service.ts';

const switchedAnnotation = 'rollback-workflows/switched';

/** Value of the annotation. */
export interface Switched {
  from: string;
  to: string;
  /** What ran under each selector then, by digest. */
  versions: { from: string; to: string };
  run: string;
  /** ISO 8601. */
  at: string;
  /** What was noted before, for an undo. */
  earlier?: Omit<Switched, 'earlier'>;
}

/**
 * The rollback after which the Service sends its traffic where it does; undefined where there was
 * none. Whoever has switched it elsewhere since, or released another version there, voids it.
 */
export function standingSwitch(
  service: Service,
  deployments: readonly Deployment[],
): Switched | undefined {
  const switched = readAnnotation<Switched>(service, switchedAnnotation);
  const isStanding =
    switched?.to === selectorText(service.spec?.selector) &&
    switched.versions?.to === versionOf(carriersOf(deployments, switched.to));
  return isStanding ? switched : undefined;
}

/** Notes the switch, or takes the note back with it. */
export function noteOperations(
  service: Service,
  deployments: readonly Deployment[],
  { change: { before, after }, undo, run }: Pick<Mandate, 'change' | 'undo' | 'run'>,
): JsonPatchOperation[] {
  const path = annotationPointer(switchedAnnotation);
  const noted = readAnnotation<Switched>(service, switchedAnnotation);
  if (undo) {
    if (noted?.earlier) return [{ op: 'add', path, value: JSON.stringify(noted.earlier) }];
    return noted ? [{ op: 'remove', path }] : [];
  }
  const { earlier: _older, ...earlier } = noted ?? {};
  const [from, to] = [before, after].map((state) => (state as SelectorReference).selector);
  const version = (selector = '') => versionOf(carriersOf(deployments, selector));
  const switched = {
    ...{ from, to, versions: { from: version(from), to: version(to) } },
    ...{ run: run.workflowId, at: new Date().toISOString() },
    ...(noted ? { earlier } : {}),
  };
  return [{ op: 'add', path, value: JSON.stringify(switched) }];
}

/**
 * Notes the switch where the commands of `rollback plan --commands` make it, which have no run: behind
 * a test that nothing else has been noted since.
 */
export function noteByHand(
  service: Service,
  deployments: readonly Deployment[],
  change: SelectorChange,
): JsonPatchOperation[] {
  const run = { workflowId: byHand, firstRunId: '' };
  const note = noteOperations(service, deployments, { change, undo: false, run });
  const annotations = service.metadata?.annotations;
  if (!annotations) {
    const path = '/metadata/annotations';
    return [{ op: 'test', path, value: null }, { op: 'add', path, value: {} }, ...note];
  }
  const value = annotations[switchedAnnotation] ?? null;
  return [{ op: 'test', path: annotationPointer(switchedAnnotation), value }, ...note];
}
