import type { V1ManagedFieldsEntry } from '@kubernetes/client-node';
import type { Effect } from '../../contract/plan.ts';
import { annotationPointer, isSurged, keptStrategy, strategyAnnotation } from './annotations.ts';
import {
  fieldManager,
  KubernetesError,
  type Clusters,
  type Cluster,
  type JsonPatchOperation,
  type Wire,
} from './api.ts';
import type { DeploymentMandate } from './deployment-change.ts';
import { deploymentPath, type Deployment } from './revisions.ts';

type ManagedFields = Omit<Wire<V1ManagedFieldsEntry>, 'fieldsV1'> & { fieldsV1?: object };

const attempts = 10;

/**
 * Hands a Deployment back as its owners expect it: the rollout strategy that was kept is put back,
 * and the ownership of fields that the rollback took goes to whoever applies this Deployment, so
 * that their next server-side apply does not conflict. Safe to run at any time and any number of
 * times; a Deployment that is gone needs nothing.
 */
export async function handBackDeployment(
  clusters: Clusters,
  mandate: DeploymentMandate,
): Promise<Effect> {
  const { context, namespace, name, uid } = mandate.change.target;
  const cluster = clusters.of(context);
  const done: string[] = [];
  if (await repeatOnRace(() => putStrategyBack(cluster, namespace, name, uid))) {
    done.push('the earlier rollout strategy is back');
  }
  if (await repeatOnRace(() => returnFields(cluster, namespace, name, uid))) {
    done.push('its fields belong to their owner again');
  }
  return {
    changed: done.length > 0,
    text: done.length > 0 ? `Deployment ${name}: ${done.join(', ')}.` : 'Nothing to hand back.',
  };
}

/**
 * Puts the kept rollout strategy of a Deployment back; answers whether there was one. Where
 * somebody has set another strategy since, theirs stays.
 */
export async function putStrategyBack(
  cluster: Cluster,
  namespace: string,
  name: string,
  uid: string,
): Promise<boolean> {
  const deployment = await cluster.find<Deployment>(deploymentPath(namespace, name));
  if (!deployment || deployment.metadata?.uid !== uid) return false;
  const kept = keptStrategy(deployment);
  if (!kept) return false;
  const operations: JsonPatchOperation[] = [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path: '/metadata/generation', value: deployment.metadata.generation },
    { op: 'remove', path: annotationPointer(strategyAnnotation) },
  ];
  if (isSurged(deployment)) {
    operations.push({ op: 'replace', path: '/spec/strategy', value: kept.strategy });
  }
  await cluster.patch(deploymentPath(namespace, name), operations);
  return true;
}

/** Gives the fields that this project's patches took to the manager that applies the Deployment. */
async function returnFields(
  cluster: Cluster,
  namespace: string,
  name: string,
  uid: string,
): Promise<boolean> {
  const deployment = await cluster.find<Deployment>(deploymentPath(namespace, name));
  if (!deployment || deployment.metadata?.uid !== uid) return false;
  const entries = (deployment.metadata.managedFields ?? []) as ManagedFields[];
  const isOurs = (entry: ManagedFields) => entry.manager === fieldManager && !entry.subresource;
  const taken = entries.filter(isOurs);
  if (taken.length === 0) return false;
  const others = entries.filter((entry) => !isOurs(entry));
  const owner = others.find(({ operation, subresource }) => operation === 'Apply' && !subresource);
  const returned = others.map((entry) =>
    entry === owner
      ? {
          ...entry,
          fieldsV1: taken.reduce((all, { fieldsV1 }) => merge(all, fieldsV1), entry.fieldsV1),
        }
      : entry,
  );
  await cluster.patch(deploymentPath(namespace, name), [
    { op: 'test', path: '/metadata/resourceVersion', value: deployment.metadata.resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: returned },
  ]);
  return true;
}

/** Union of two sets of fields in the API server's own notation: nested objects of `f:` keys. */
function merge(one: object | undefined, other: object | undefined): object {
  const merged: Record<string, unknown> = { ...one };
  for (const [key, value] of Object.entries(other ?? {})) {
    merged[key] = merge(merged[key] as object | undefined, value as object);
  }
  return merged;
}

async function repeatOnRace<T>(attempt: () => Promise<T>): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      const raced = error instanceof KubernetesError && [409, 422].includes(error.status);
      if (!raced || count === attempts) throw error;
    }
  }
}
