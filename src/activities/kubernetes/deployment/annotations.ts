/**
 * What this project writes on a Deployment.
 *
 * While a rollout runs with a raised strategy, the earlier one is kept on the Deployment itself, so
 * that whoever finds it there can put it back: this run, the next one, or `rollback doctor`.
 *
 * What a rollback restored stays noted, so that a second run that names no revision finds the work
 * done; `kubectl rollout undo` would flip back to the bad version.
 */
import type { RunIdentity } from '../../../contract/plan.ts';
import { type KubernetesObject, readAnnotation } from '../objects.ts';
import { sinceReleased, type Versions, type WorkloadRevision } from '../versions.ts';
import type { Deployment, RevisionHistory } from './revisions.ts';

export const strategyAnnotation = 'rollback-workflows/earlier-strategy';

export const restoredAnnotation = 'rollback-workflows/restored';
const ownPrefix = 'rollback-workflows/';

type Strategy = NonNullable<NonNullable<Deployment['spec']>['strategy']>;

/** Value of the annotation: the strategy to put back and the run that will do it. */
export interface KeptStrategy {
  strategy: Strategy;
  run: RunIdentity;
}

/** Value of the annotation that notes a rollback; templates by digest. */
export interface Restored {
  from: { revision: number | null; template: string };
  /** `revision` is the number that the controller gives to the restored template. */
  to: { revision: number; template: string };
  run: string;
  /** Tells a later run with the same id apart. */
  firstRunId: string;
  /** ISO 8601. */
  at: string;
  /** Whether the run has taken it back. It stays noted, so that nothing of that run does it again. */
  undone?: true;
  /**
   * That somebody decided to take it back, alone or with others of one plan: what it went to need not be
   * bad. One that was taken back without a person was measured to be worse.
   */
  decided?: 'alone' | 'together';
  /**
   * When the run ended before its rollout was complete, since somebody decided so or it failed; ISO 8601.
   * A run that was interrupted notes nothing.
   */
  givenUp?: string;
}

/** What is raised for a rollout with all pods at once. */
export const surgeStrategy = {
  type: 'RollingUpdate',
  rollingUpdate: { maxSurge: '100%', maxUnavailable: 0 },
} as const satisfies Strategy;

/** The strategy that a run left on `deployment`; undefined where none did. */
export function keptStrategy(deployment: Deployment): KeptStrategy | undefined {
  return readAnnotation<KeptStrategy>(deployment, strategyAnnotation);
}

/** The last rollback of `deployment`; undefined where there was none. */
export function restoredRollback(deployment: KubernetesObject): Restored | undefined {
  return readAnnotation<Restored>(deployment, restoredAnnotation);
}

/**
 * The rollback that put the version there which stands now, restarted since or not; undefined where
 * none did. A version that was gone back to and is deployed anew later has another revision, and was
 * not put there by it.
 */
export function standingRollback({
  deployment,
  ...versions
}: Pick<RevisionHistory, 'deployment' | 'revisions' | 'current'>): Restored | undefined {
  return standingRollbackOf(deployment, versions);
}

/** As `standingRollback`, of any workload. */
export function standingRollbackOf(
  workload: KubernetesObject,
  versions: Versions<WorkloadRevision>,
): Restored | undefined {
  const restored = restoredRollback(workload);
  if (!restored?.to || restored.undone) return undefined;
  const { revision, template } = restored.to;
  const isStanding = sinceReleased(versions).some(
    (entry) => entry.revision === revision && entry.template === template,
  );
  return isStanding ? restored : undefined;
}

/** Stands for the run where the rollback was done by the commands of `rollback plan --commands`. */
export const byHand = 'by hand';

/** `key=value` of the annotation that those commands make; they leave the newest revision. */
export function noteByHand(from: Restored['from'], to: { template: string }): string {
  const note: Restored = {
    from: { revision: from.revision, template: from.template },
    to: { revision: (from.revision ?? 0) + 1, template: to.template },
    ...{ run: byHand, firstRunId: '', at: new Date().toISOString() },
  };
  return `${restoredAnnotation}=${JSON.stringify(note)}`;
}

/** Who did a rollback, in words. */
export function rolledBackBy({ run }: Pick<Restored, 'run'>): string {
  return run === byHand ? 'the commands of rollback plan' : `run ${run}`;
}

/** Behind where a workload stands: that there is nothing to do, since it was gone back to. */
export function nothingToDo(earlier: Restored | undefined): string {
  if (!earlier) return ': nothing to do';
  return `: ${rolledBackBy(earlier)} rolled it back from revision ${earlier.from.revision ?? 'unknown'} at ${earlier.at}; name a revision to go elsewhere`;
}

/** Whether the last rollback was this run's, and was not taken back by it. */
export function standsRestoredBy(deployment: KubernetesObject, run: RunIdentity): boolean {
  return wasRestoredBy(deployment, run) && restoredRollback(deployment)?.undone !== true;
}

/** Whether the last rollback of `deployment` was this run's. */
export function wasRestoredBy(deployment: KubernetesObject, run: RunIdentity): boolean {
  const restored = restoredRollback(deployment);
  return restored?.run === run.workflowId && restored.firstRunId === run.firstRunId;
}

export function isOwnAnnotation(key: string): boolean {
  return key.startsWith(ownPrefix);
}

/** Whether the Deployment still has the raised strategy, so that nobody else has set another since. */
export function isSurged(deployment: Deployment): boolean {
  const { type, rollingUpdate } = deployment.spec?.strategy ?? {};
  return (
    type === surgeStrategy.type &&
    rollingUpdate?.maxSurge === surgeStrategy.rollingUpdate.maxSurge &&
    rollingUpdate.maxUnavailable === surgeStrategy.rollingUpdate.maxUnavailable
  );
}
