import { hashOf } from '../../../contract/digest.ts';
import type { Clusters } from '../api.ts';
import type { Comparison } from '../deployment/compare-revisions.ts';
import { type KubernetesObject, readTarget } from '../objects.ts';
import { type RoutesMandate, sidesOf } from './canary-change.ts';
import { readMesh } from './mesh.ts';
import { routesAspect } from './shift-traffic.ts';
import { readReadiness } from './sides.ts';

/**
 * Compares the pods of canary and stable side as they are now. The canary is healthier only where it
 * has ready pods and the stable side has none; there is nothing to take back where the routes are as
 * they were.
 */
export async function compareCanary(
  clusters: Clusters,
  { change }: RoutesMandate,
): Promise<Comparison> {
  const { context, namespace } = change.target;
  const cluster = clusters.of(context);
  const router = await readTarget<KubernetesObject>(cluster, change.target);
  if (hashOf(routesAspect(change).stateOf(router)) === hashOf(change.before)) {
    const text = 'nothing to take back: the routes were not changed';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const { canary, stable, text } = await readReadiness(
    await readMesh(cluster, namespace),
    sidesOf(change),
  );
  return { beforeIsHealthier: canary > 0 && stable === 0, nothingToUndo: false, text };
}
