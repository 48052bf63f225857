/**
 * Flagger's copy of a Deployment. Production's traffic goes to `NAME-primary`, and Deployment NAME has
 * no pods but while a version of it is analysed: a rollback of NAME alone would achieve nothing, so
 * the copy goes back with it, and both have the same version whatever share of the traffic each has.
 */
import { hashOf } from '../../contract/digest.ts';
import { refused } from '../failures.ts';
import type { Canary } from './canary.ts';
import { standingRollback } from '../kubernetes/deployment/annotations.ts';
import type { Revision, RevisionHistory } from '../kubernetes/deployment/revisions.ts';
import {
  cleanTemplate,
  imagesOf,
  type PodTemplate,
  restartedAnnotation,
} from '../kubernetes/templates.ts';

/** Where a Deployment and its copy go back to. */
export interface Pair {
  /** Undefined where the Deployment has no such revision any more: then it stays as it is. */
  wanted: Revision | undefined;
  copy: Revision;
}

/**
 * Chooses where both go. Without a number: while production still has an earlier version than the one
 * that is analysed or has failed, to that; else to the one that was promoted before.
 * @throws Refused where there is none, or the one that is named never served production.
 */
export function choosePair(
  canary: Canary,
  history: RevisionHistory,
  primary: RevisionHistory,
  toRevision: number | undefined,
): Pair {
  const { name } = history.deployment.metadata ?? {};
  if (toRevision !== undefined) {
    const wanted = history.revisions.find(({ revision }) => revision === toRevision);
    const copy = wanted && counterpart(wanted, primary.revisions);
    if (wanted && copy) return { wanted, copy };
    const promoted = history.revisions.filter((one) => counterpart(one, primary.revisions));
    const known = promoted.map(({ revision }) => revision).reverse();
    throw refused(
      `Flagger has not promoted revision ${toRevision} of Deployment ${name}, or its copy has forgotten it, so production cannot go there: revisions that it can go to: ${known.join(', ') || 'none'}.`,
    );
  }
  const copy = chooseCopy(canary, history, primary);
  // What stands there already needs no search, which might find another with the same images.
  const stays =
    history.current && counterpart(history.current, [copy]) ? history.current : undefined;
  return { wanted: stays ?? counterpart(copy, history.revisions), copy };
}

function chooseCopy(canary: Canary, history: RevisionHistory, primary: RevisionHistory): Revision {
  const { current } = history;
  const { name, namespace } = primary.deployment.metadata ?? {};
  const standing = primary.current;
  if (!standing) {
    throw refused(
      `The Deployment controller has not seen the newest template of ${name} in ${namespace}, Flagger's copy: start again in a moment.`,
    );
  }
  const promoted = current && promotedAs(current, primary, canary);
  // Production does not have it, or has left it already.
  if (current && !promoted) return standing;
  if (promoted && promoted !== standing) return promoted;
  // Going back twice must not bring the bad version back.
  if (standingRollback(primary) || standingRollback(history)) return standing;
  const previous = primary.revisions.find((entry) => !isCounterpart(entry, standing));
  if (previous) return previous;
  throw refused(
    `Flagger has promoted no other version: Deployment ${name} in ${namespace} has no revision to go back to.`,
  );
}

/** Phases in which the Deployment may have a version that production does not have. */
const undecided = ['Progressing', 'Waiting', 'WaitingPromotion', 'Failed'];

/** The copy's revision that a revision of the Deployment was promoted as; undefined where it was not. */
function promotedAs(
  revision: Revision,
  { current, revisions }: RevisionHistory,
  { status }: Canary,
): Revision | undefined {
  const same = revisions.find((entry) => isCounterpart(revision, entry));
  if (same) return same;
  const alike = revisions.find((entry) => hashOf(images(revision)) === hashOf(images(entry)));
  return alike === current && undecided.includes(status?.phase ?? '') ? undefined : alike;
}

/** The newest revision with the same pods; by images alone where none is the same in all. */
export function counterpart(of: Revision, revisions: readonly Revision[]): Revision | undefined {
  return (
    revisions.find((entry) => isCounterpart(of, entry)) ??
    revisions.find((entry) => hashOf(images(of)) === hashOf(images(entry)))
  );
}

function isCounterpart(one: Revision, other: Revision): boolean {
  return sameForm(one.replicaSet.spec?.template) === sameForm(other.replicaSet.spec?.template);
}

function images({ replicaSet }: Revision): string[] {
  return imagesOf(replicaSet.spec?.template);
}

/**
 * Digest of a template that is the same for a Deployment and for Flagger's copy of it, which has
 * `-primary` behind the names of labels, ConfigMaps and Secrets, and an id (flagger,
 * deployment_controller.go and config_tracker.go). Each may have been restarted by itself.
 */
function sameForm(template: PodTemplate | undefined): string {
  const { metadata, spec } = cleanTemplate(template);
  const kept = ([key]: [string, unknown]) =>
    ![restartedAnnotation, 'flagger-id'].includes(key) && !key.includes('toolkit.fluxcd.io');
  const entries = (map: Record<string, string> = {}) =>
    Object.fromEntries(Object.entries(map).filter(kept));
  const { labels, annotations } = metadata ?? {};
  return hashOf(
    withoutSuffix({ labels: entries(labels), annotations: entries(annotations), spec }),
  );
}

function withoutSuffix(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/-primary$/, '');
  if (Array.isArray(value)) return value.map(withoutSuffix);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutSuffix(item)]));
}
