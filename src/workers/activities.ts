import { argoRolloutsActivities } from '../activities/argo-rollouts/index.ts';
import { authorityActivities } from '../activities/authority/index.ts';
import { gatewayApiActivities } from '../activities/gateway-api/index.ts';
import { featuresActivities } from '../activities/features/index.ts';
import { istioActivities } from '../activities/istio/index.ts';
import { helmActivities } from '../activities/helm/index.ts';
import { kubernetesActivities } from '../activities/kubernetes/index.ts';
import type { Clusters } from '../activities/kubernetes/api.ts';
import { lockActivities } from '../activities/lock/index.ts';
import type { Locks } from '../activities/lock/locks.ts';
import { ownersActivities } from '../activities/owners/index.ts';
import { peopleActivities } from '../activities/people/index.ts';
import { postgresActivities } from '../activities/postgres/index.ts';
import { redisActivities } from '../activities/redis/index.ts';
import { verificationActivities } from '../activities/verification/index.ts';
import type { Authority } from '../authority/authority.ts';
import type { LoadedSettings } from '../config/settings.ts';
import type { SettingsSource } from '../config/settings-source.ts';
import { activityClasses } from '../contract/activities.ts';

/** What activities work with; made once in the worker. */
export interface Connections {
  clusters: Clusters;
  locks: Locks;
  authority: Authority;
}

type Activity = (...args: never[]) => Promise<unknown>;

/**
 * Every activity by its full name. Each has the settings as they are when it begins, and these to its
 * end, whatever becomes of the file meanwhile.
 * @throws Error as `activitiesWith` does.
 */
export function allActivities(
  source: SettingsSource,
  connections: Connections,
): Record<string, Activity> {
  let settings = source.current();
  let activities = activitiesWith(settings, connections);
  const current = () => {
    const now = source.current();
    if (now !== settings) activities = activitiesWith(now, connections);
    settings = now;
    return activities;
  };
  return Object.fromEntries(
    Object.keys(activities).map((name) => [
      name,
      (...args: never[]) => (current()[name] as Activity)(...args),
    ]),
  );
}

/**
 * Every activity by its full name, with these settings.
 * @throws Error where implementations and contract do not have exactly the same names: an activity
 *   that is not in the contract has no class, and so could pass the guard unseen.
 */
function activitiesWith(
  settings: LoadedSettings,
  { clusters, locks, authority }: Connections,
): Record<string, Activity> {
  const systems: Record<string, Record<string, Activity>> = {
    kubernetes: kubernetesActivities({ clusters, settings, authority }),
    argoRollouts: argoRolloutsActivities(clusters),
    owners: ownersActivities({ clusters, settings, authority }),
    istio: istioActivities(clusters),
    gatewayApi: gatewayApiActivities(clusters),
    helm: helmActivities({ clusters, settings, authority }),
    postgres: postgresActivities({ clusters, settings, authority }),
    features: featuresActivities({ clusters, settings, authority }),
    redis: redisActivities({ clusters, settings, authority }),
    verification: verificationActivities(clusters, settings),
    lock: lockActivities(locks),
    authority: authorityActivities(authority, settings),
    people: peopleActivities(authority),
  };
  const activities = Object.fromEntries(
    Object.entries(systems).flatMap(([system, verbs]) =>
      Object.entries(verbs).map(([verb, activity]) => [`${system}.${verb}`, activity]),
    ),
  );
  assertSameNames(Object.keys(activities), Object.keys(activityClasses));
  return activities;
}

/** @throws Error naming what is on one side only. */
export function assertSameNames(implemented: string[], contracted: string[]): void {
  const missing = contracted.filter((name) => !implemented.includes(name));
  const unknown = implemented.filter((name) => !contracted.includes(name));
  if (missing.length + unknown.length === 0) return;
  throw new Error(
    `Activities and src/contract/activities.ts differ: ${[
      ...missing.map((name) => `${name} has no implementation`),
      ...unknown.map((name) => `${name} is not in the contract`),
    ].join(', ')}.`,
  );
}
