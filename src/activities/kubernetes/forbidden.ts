import { isInCluster, type Plan } from '../../contract/plan.ts';
import { refusedRights, type Right, rightInWords } from './access.ts';
import type { Clusters } from './api.ts';
import { rightsOf } from './rights.ts';

/** What is asked of a namespace of a cluster. */
interface Asked {
  context: string;
  namespace: string;
  /** By what they are, each once. */
  rights: Map<string, Right>;
}

/**
 * Why this worker must not begin with a plan: the API server would forbid it one of the changes, perhaps
 * after others were made. Undefined where it may do all of them, and where it cannot be told, since a
 * review that fails is no reason to leave production as it is.
 */
export async function whyForbidden(
  clusters: Clusters,
  { changes }: Pick<Plan, 'changes'>,
): Promise<string | undefined> {
  const asked = new Map<string, Asked>();
  for (const change of changes.filter(({ target }) => isInCluster(target))) {
    const { context, namespace } = change.target;
    const key = `${context} ${namespace}`;
    const place = asked.get(key) ?? { context, namespace, rights: new Map<string, Right>() };
    asked.set(key, place);
    for (const right of rightsOf(change)) place.rights.set(JSON.stringify(right), right);
  }
  const refusals = await Promise.all(
    [...asked.values()].map(async (place) => ({
      ...place,
      refused: await refusedAt(clusters, place),
    })),
  );
  const found = refusals.filter(({ refused }) => refused.length > 0);
  if (found.length === 0) return undefined;
  const places = found.map(({ context, namespace, refused }) => {
    const words = [...new Set(refused.map(rightInWords))].join(', ');
    return `${words} in namespace ${namespace} of context ${context}`;
  });
  const all = found.flatMap(({ refused }) => refused);
  const roles = [...new Set(all.map(roleOf))].join(' and ');
  const instead = all.every(({ verb }) => verb === 'delete')
    ? ', or start again with nothing deleted (--keep for a canary, no --delete for blue-green)'
    : '';
  return `The worker may not ${places.join(', nor ')}, which this plan needs: give it the role in ${roles}${instead}.`;
}

async function refusedAt(
  clusters: Clusters,
  { context, namespace, rights }: Asked,
): Promise<Right[]> {
  try {
    return await refusedRights(clusters.of(context), namespace, [...rights.values()]);
  } catch {
    return [];
  }
}

/** Helm alone has to do with Secrets, and needs a role of its own. */
function roleOf({ resource }: Right): string {
  return resource === 'secrets'
    ? 'deploy/kubernetes-role-helm.yaml'
    : 'deploy/kubernetes-role.yaml';
}
