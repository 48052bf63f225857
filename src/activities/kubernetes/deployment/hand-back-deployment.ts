import { repeatOnRace } from '../race.ts';
import type { Effect } from '../../../contract/plan.ts';
import { isSurged, keptStrategy, strategyAnnotation } from './annotations.ts';
import type { Cluster, Clusters, JsonPatchOperation } from '../api.ts';
import { returnFields } from '../managed-fields.ts';
import { annotationPointer } from '../objects.ts';
import type { DeploymentMandate } from './deployment-change.ts';
import { deploymentPath, type Deployment } from './revisions.ts';

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
    return (
      deployment !== undefined && returnFields(cluster, deploymentPath(namespace, name), deployment)
    );
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
