/** The one change of a Deployment rollback, and how it reads from either end. */
import type { Change, Mandate } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Cluster } from '../api.ts';
import { readHistory, type RevisionHistory } from './revisions.ts';

/** A revision by reference. `replicaSet` is null for a template that no ReplicaSet has yet. */
export type RevisionReference = {
  revision: number | null;
  replicaSet: string | null;
  /** SHA-256 of the pod template. */
  template: string;
  paused: boolean;
};

export type DeploymentChange = Change<
  RevisionReference,
  RevisionReference & {
    /** Whether all pods are brought up at once for the rollout. */
    surge: boolean;
    /** Where several go back in order: the number of its turn, from 0. */
    turn?: number;
    /** Of Flagger's copy: the Deployment that it is a copy of. */
    copyOf?: string;
    /** Of a Deployment without pods, for which Flagger's copy serves: it may go either way. */
    idle?: boolean;
  }
>;
export type DeploymentMandate = Mandate<DeploymentChange>;

/** Where a mandate comes from and goes to: the other way round for an undo. */
export function ends(mandate: DeploymentMandate): {
  from: RevisionReference;
  to: RevisionReference;
} {
  const { before, after } = mandate.change;
  return mandate.undo ? { from: after, to: before } : { from: before, to: after };
}

/**
 * Reads the Deployment that the mandate names, by its UID.
 * @throws PlanStale where it is gone or another one has its name.
 */
export async function readTarget(
  cluster: Cluster,
  mandate: DeploymentMandate,
): Promise<RevisionHistory> {
  const { namespace, name, uid } = mandate.change.target;
  const history = await readHistory(cluster, namespace, name);
  if (!history) {
    throw stale(
      `Deployment ${name} in ${namespace} was deleted after the plan was made: nothing is left to roll back.`,
    );
  }
  if (history.deployment.metadata?.uid !== uid) {
    throw stale(
      `Deployment ${name} in ${namespace} was deleted and made anew after the plan: its history is gone; start again if the new one needs a rollback.`,
    );
  }
  return history;
}

/** Says which revision stands there now, for messages about a stale plan. */
export function standing(history: RevisionHistory): string {
  const { deployment, current } = history;
  const images = deployment.spec?.template.spec?.containers.map(({ image }) => image).join(', ');
  return current
    ? `revision ${current.revision} (${images})`
    : `a template without a revision (${images})`;
}
