import type { V1ManagedFieldsEntry } from '@kubernetes/client-node';
import type { Effect } from '../../../contract/plan.ts';
import { isOwnAnnotation, isSurged, keptStrategy, strategyAnnotation } from './annotations.ts';
import {
  fieldManager,
  KubernetesError,
  type Clusters,
  type Cluster,
  type JsonPatchOperation,
  type Wire,
} from '../api.ts';
import { annotationPointer } from '../objects.ts';
import type { DeploymentMandate } from './deployment-change.ts';
import { deploymentPath, type Deployment } from './revisions.ts';

/** A set of fields in the API server's own notation: nested objects of `f:` keys. */
interface Fields {
  [key: string]: Fields | undefined;
}
type ManagedFields = Omit<Wire<V1ManagedFieldsEntry>, 'fieldsV1'> & { fieldsV1?: Fields };

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
  let patched = await repeatOnRace(() => putStrategyBack(cluster, namespace, name, uid));
  if (patched) done.push('the earlier rollout strategy is back');
  const returned = await repeatOnRace(async () => {
    const deployment = patched ?? (await findByUid(cluster, namespace, name, uid));
    patched = undefined;
    return deployment !== undefined && returnFields(cluster, deployment);
  });
  if (returned) done.push('its fields belong to their owner again');
  return {
    changed: done.length > 0,
    text: done.length > 0 ? `Deployment ${name}: ${done.join(', ')}.` : 'Nothing to hand back.',
  };
}

/**
 * Puts the kept rollout strategy of a Deployment back; answers the Deployment as it then is, or
 * undefined where its strategy was not raised. What somebody else has set since stays.
 */
export async function putStrategyBack(
  cluster: Cluster,
  namespace: string,
  name: string,
  uid: string,
): Promise<Deployment | undefined> {
  const deployment = await findByUid(cluster, namespace, name, uid);
  const kept = deployment && keptStrategy(deployment);
  if (!kept) return undefined;
  const operations: JsonPatchOperation[] = [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path: '/metadata/generation', value: deployment.metadata?.generation },
    { op: 'remove', path: annotationPointer(strategyAnnotation) },
  ];
  const surged = isSurged(deployment);
  if (surged) operations.push({ op: 'replace', path: '/spec/strategy', value: kept.strategy });
  const patched = await cluster.patch<Deployment>(deploymentPath(namespace, name), operations);
  return surged ? patched : undefined;
}

/**
 * Gives up the ownership of fields that this project's patches took. The template's go to the
 * manager that applies it, so that what its next version no longer has is removed; the others, such
 * as the strategy, to nobody, so that no manager removes what it never set. Its own annotations stay
 * this project's.
 */
async function returnFields(cluster: Cluster, deployment: Deployment): Promise<boolean> {
  const { namespace = '', name = '' } = deployment.metadata ?? {};
  const entries = (deployment.metadata?.managedFields ?? []) as ManagedFields[];
  const isOurs = (entry: ManagedFields) => entry.manager === fieldManager && !entry.subresource;
  const ours = entries.filter(isOurs);
  if (ours.every(({ fieldsV1 }) => isSame(fieldsV1, ownFields(fieldsV1)))) return false;
  const owner = entries.find(
    ({ operation, fieldsV1 }) => operation === 'Apply' && fieldsV1?.['f:spec']?.['f:template'],
  );
  const returned = entries.flatMap((entry): ManagedFields[] => {
    if (entry === owner) {
      const fieldsV1 = ours.map(templateFields).reduce(merge, entry.fieldsV1 ?? {});
      return [{ ...entry, fieldsV1 }];
    }
    if (!isOurs(entry)) return [entry];
    const fieldsV1 = ownFields(entry.fieldsV1);
    return fieldsV1 ? [{ ...entry, fieldsV1 }] : [];
  });
  await cluster.patch(deploymentPath(namespace, name), [
    { op: 'test', path: '/metadata/resourceVersion', value: deployment.metadata?.resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: returned },
  ]);
  return true;
}

function templateFields({ fieldsV1 }: ManagedFields): Fields {
  const template = fieldsV1?.['f:spec']?.['f:template'];
  return template ? { 'f:spec': { 'f:template': template } } : {};
}

/** This project's own annotations among the fields; undefined where there are none. */
function ownFields(fields: Fields | undefined): Fields | undefined {
  const annotations = Object.entries(fields?.['f:metadata']?.['f:annotations'] ?? {});
  const own = annotations.filter(([key]) => isOwnAnnotation(key.replace(/^f:/, '')));
  if (own.length === 0) return undefined;
  return { 'f:metadata': { 'f:annotations': Object.fromEntries(own) } };
}

function isSame(one: Fields | undefined, other: Fields | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The Deployment, unless it is gone or another one has its name. */
async function findByUid(
  cluster: Cluster,
  namespace: string,
  name: string,
  uid: string,
): Promise<Deployment | undefined> {
  const deployment = await cluster.find<Deployment>(deploymentPath(namespace, name));
  return deployment?.metadata?.uid === uid ? deployment : undefined;
}

/** Union of two sets of fields. */
function merge(one: Fields, other: Fields): Fields {
  const merged = { ...one };
  for (const [key, value] of Object.entries(other))
    merged[key] = merge(merged[key] ?? {}, value ?? {});
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
