import { refused } from '../../failures.ts';
import type { Cluster } from '../api.ts';
import { missing } from '../missing.ts';
import { isObserved, objectPath } from '../objects.ts';
import { readHistory, type RevisionHistory } from './revisions.ts';

/** A controller that has not seen the newest template yet needs a moment; more is said as a refusal. */
const observedWithinMs = 5000;

/**
 * Reads the history once the controller has seen the newest template.
 * @throws Refused where there is no such Deployment, or nobody looks after it.
 */
export async function readObserved(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<RevisionHistory> {
  const giveUp = Date.now() + observedWithinMs;
  for (;;) {
    const history = await readHistory(cluster, namespace, name);
    if (!history) throw refused(await whyMissing(cluster, namespace, name));
    const { spec } = history.deployment;
    const observed = isObserved(history.deployment);
    if (observed && (history.current || spec?.paused)) return history;
    if (Date.now() > giveUp) {
      throw refused(
        `The Deployment controller has not seen the newest template of ${name} in ${namespace} within ${observedWithinMs / 1000} s, so its revisions cannot be told apart: check the controller manager, then start again.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function whyMissing(cluster: Cluster, namespace: string, name: string): Promise<string> {
  if (await cluster.find(objectPath('rollout', namespace, name))) {
    return `${name} in ${namespace} is a Rollout of Argo Rollouts that follows no Deployment: undo it there, with kubectl argo rollouts undo ${name} -n ${namespace}.`;
  }
  return missing(cluster, 'deployment', namespace, name);
}
