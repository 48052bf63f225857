import { stableRevision } from '../../argo-rollouts/plan-rollout.ts';
import { refused } from '../../failures.ts';
import { primaryName } from '../../flagger/canary.ts';
import { choosePair, counterpart } from '../../flagger/primary.ts';
import type { Owners } from '../../owners/find-owners.ts';
import type { Cluster } from '../api.ts';
import { chooseRevision } from '../choose-revision.ts';
import { passedOver } from '../left-revisions.ts';
import { standingRollback } from './annotations.ts';
import { assertNotGivenUp } from './given-up.ts';
import { readHistory, type Revision, type RevisionHistory } from './revisions.ts';

/** Who serves production, besides or in place of a Deployment's own pods. */
export interface Serving extends Pick<Owners, 'canary' | 'rollout'> {
  history: RevisionHistory;
  /** Flagger's copy. */
  primary: RevisionHistory | undefined;
}

/** Where a Deployment goes back to, and Flagger's copy of it with it. */
export interface Chosen {
  wanted: Revision;
  copy?: Revision;
  warnings: string[];
}

/**
 * Chooses the revision to go back to: the one that is named; else what served production before what
 * is left.
 * @throws Refused where there is none, and where nobody knows since a run gave its rollout up.
 */
export async function chooseRevisions(
  cluster: Cluster,
  toRevision: number | undefined,
  { history, primary, canary, rollout }: Serving,
): Promise<Chosen> {
  const { name } = history.deployment.metadata ?? {};
  if (toRevision === undefined) {
    assertNotGivenUp(history);
    if (primary) assertNotGivenUp(primary);
  }
  if (canary && primary) {
    if (toRevision !== undefined) chosenOf(history, toRevision);
    const { wanted, copy } = choosePair(canary, history, primary, toRevision);
    if (wanted) return { wanted, copy, warnings: [] };
    return {
      wanted: assertCurrent(history),
      copy,
      warnings: [
        `Deployment ${name} has no revision with the version that production goes back to, and stays as it is: Flagger leaves it alone until it is released and changed.`,
      ],
    };
  }
  if (rollout && toRevision === undefined && !standingRollback(history)) {
    const stable = await stableRevision(cluster, rollout, history);
    if (stable) return { wanted: stable, warnings: [] };
  }
  const wanted = chosenOf(history, toRevision);
  const isNamed = toRevision !== undefined;
  return { wanted, warnings: isNamed ? [] : passedOver(history.deployment, history, wanted) };
}

/** Flagger's copy of the Deployment; undefined before Flagger has made it. */
export async function readPrimary(
  cluster: Cluster,
  { metadata }: RevisionHistory['deployment'],
): Promise<RevisionHistory | undefined> {
  const { namespace = '', name = '' } = metadata ?? {};
  return readHistory(cluster, namespace, primaryName(name));
}

/**
 * What is asked of the Deployment that Flagger watches, by whom its copy is named.
 * @throws Refused where that has no such revision.
 */
export function revisionOfWatched(
  copy: RevisionHistory,
  watched: RevisionHistory,
  toRevision: number | undefined,
): number | undefined {
  if (toRevision === undefined) return undefined;
  const found = counterpart(chosenOf(copy, toRevision), watched.revisions);
  if (found) return found.revision;
  const { name } = watched.deployment.metadata ?? {};
  throw refused(
    `Deployment ${name}, which Flagger copies, has no revision any more with the version of revision ${toRevision}: name one of ${name} itself.`,
  );
}

function assertCurrent(history: RevisionHistory): Revision {
  if (history.current) return history.current;
  const { name, namespace } = history.deployment.metadata ?? {};
  throw refused(
    `Deployment ${name} in ${namespace} has a template that no revision has: look at it with rollback history deployment/${name} -n ${namespace}.`,
  );
}

function chosenOf(history: RevisionHistory, toRevision: number | undefined): Revision {
  return chooseRevision('deployment', history.deployment, history, toRevision);
}
