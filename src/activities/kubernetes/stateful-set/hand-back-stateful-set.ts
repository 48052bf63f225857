import type { Effect } from '../../../contract/plan.ts';
import type { Clusters } from '../api.ts';
import { repeatOnRace } from '../race.ts';
import { returnFields } from '../managed-fields.ts';
import { objectPath } from '../objects.ts';
import type { StatefulSet } from './revisions.ts';
import type { TemplateMandate } from './stateful-set-change.ts';

/**
 * Hands a StatefulSet back as its owners expect it: the ownership of fields that the rollback took
 * goes to whoever applies this StatefulSet, so that their next server-side apply does not conflict.
 * Safe to run any number of times; a StatefulSet that is gone needs nothing.
 */
export async function handBackStatefulSet(
  clusters: Clusters,
  { change }: TemplateMandate,
): Promise<Effect> {
  const { context, kind, namespace, name, uid } = change.target;
  const cluster = clusters.of(context);
  const path = objectPath(kind, namespace, name);
  const changed = await repeatOnRace(async () => {
    const statefulSet = await cluster.find<StatefulSet>(path);
    return statefulSet?.metadata?.uid === uid && returnFields(cluster, path, statefulSet);
  });
  const text = changed
    ? `StatefulSet ${name}: its fields belong to their owner again.`
    : 'Nothing to hand back.';
  return { changed, text };
}
