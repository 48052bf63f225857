/**
 * Activities as workflow code calls them: `kubernetes.restoreTemplate(...)`. The contract's class of
 * an activity decides its time limits; nothing else in workflow code does.
 */
import {
  ActivityCancellationType,
  AsyncLocalStorage,
  type ActivityOptions,
  type LocalActivityOptions,
  scheduleActivity,
  scheduleLocalActivity,
} from '@temporalio/workflow';
import type { ArgoRolloutsActivities } from '../../activities/argo-rollouts/index.ts';
import type { AuthorityActivities } from '../../activities/authority/index.ts';
import type { FeaturesActivities } from '../../activities/features/index.ts';
import type { GatewayApiActivities } from '../../activities/gateway-api/index.ts';
import type { IstioActivities } from '../../activities/istio/index.ts';
import type { HelmActivities } from '../../activities/helm/index.ts';
import type { KubernetesActivities } from '../../activities/kubernetes/index.ts';
import type { LockActivities } from '../../activities/lock/index.ts';
import type { OwnersActivities } from '../../activities/owners/index.ts';
import type { PeopleActivities } from '../../activities/people/index.ts';
import type { PostgresActivities } from '../../activities/postgres/index.ts';
import type { RedisActivities } from '../../activities/redis/index.ts';
import type { VerificationActivities } from '../../activities/verification/index.ts';
import { type ActivityClass, classOf, heartbeatTimeoutMs } from '../../contract/activities.ts';

/**
 * Retries have no end of their own after something was changed: the cluster comes back, or a person
 * decides. The first comes soon, since a killed worker's step waits for it too.
 */
const retry = { initialInterval: '100ms', backoffCoefficient: 2, maximumInterval: '5s' } as const;
const cancellation = { cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED };

type LocalClass = 'lock' | 'assess';

/** How long a killed worker's activity waits to be taken up again; every activity heartbeats. */
const heartbeatTimeout = heartbeatTimeoutMs;

const optionsOf: Record<Exclude<ActivityClass, LocalClass>, ActivityOptions> = {
  // Before anything was changed, a minute without an answer ends the run as unreachable.
  observe: { startToCloseTimeout: '20s', scheduleToCloseTimeout: '60s', heartbeatTimeout, retry },
  mutate: { startToCloseTimeout: '2m', heartbeatTimeout, retry, ...cancellation },
  drive: { startToCloseTimeout: '24h', heartbeatTimeout, retry, ...cancellation },
  check: { startToCloseTimeout: '24h', heartbeatTimeout, retry, ...cancellation },
  wait: { startToCloseTimeout: '24h', heartbeatTimeout, retry, ...cancellation },
  tell: { startToCloseTimeout: '10s', heartbeatTimeout, retry: { ...retry, maximumAttempts: 5 } },
};

/**
 * Locks are taken and freed, and decisions assessed, in local activities: they change no target, may
 * run any number of times, and a server's round trips for each would be a third of what surrounds
 * the steps.
 */
const localOptions: LocalActivityOptions = {
  startToCloseTimeout: '20s',
  retry,
  // Longer waits between tries are timers of the workflow, which answers queries meanwhile.
  localRetryThreshold: '1s',
};

/** What differs for the activities of one region: the queue of its worker, and how long to wait. */
export const regional = new AsyncLocalStorage<Partial<ActivityOptions>>();

/** A region that does not answer must not hold up the plan for those that do. */
export const planningInRegion: Partial<ActivityOptions> = {
  startToCloseTimeout: '12s',
  scheduleToCloseTimeout: '15s',
  retry: { ...retry, maximumAttempts: 4 },
};

/** Title of the step that is running, shown beside its activities in the Temporal UI. */
export const stepTitle = new AsyncLocalStorage<string>();

type Activities = Record<string, (...args: never[]) => Promise<unknown>>;

function activitiesOf<A extends Activities>(system: string): A {
  return new Proxy({} as A, {
    get: (_, verb) => {
      const name = `${system}.${String(verb)}`;
      const activityClass = classOf(name);
      if (!activityClass) throw new Error(`Activity ${name} is not in the contract.`);
      return (...args: unknown[]) =>
        activityClass === 'lock' || activityClass === 'assess'
          ? scheduleLocalActivity(name, args, localOptions)
          : scheduleActivity(name, args, {
              ...optionsOf[activityClass],
              ...regional.getStore(),
              summary: stepTitle.getStore(),
            });
    },
  });
}

export const kubernetes = activitiesOf<KubernetesActivities>('kubernetes');
export const owners = activitiesOf<OwnersActivities>('owners');
export const argoRollouts = activitiesOf<ArgoRolloutsActivities>('argoRollouts');
export const istio = activitiesOf<IstioActivities>('istio');
export const gatewayApi = activitiesOf<GatewayApiActivities>('gatewayApi');
export const helm = activitiesOf<HelmActivities>('helm');
export const postgres = activitiesOf<PostgresActivities>('postgres');
export const features = activitiesOf<FeaturesActivities>('features');
export const redis = activitiesOf<RedisActivities>('redis');
export const verification = activitiesOf<VerificationActivities>('verification');
export const authority = activitiesOf<AuthorityActivities>('authority');
export const people = activitiesOf<PeopleActivities>('people');
export const lock = activitiesOf<LockActivities>('lock');
