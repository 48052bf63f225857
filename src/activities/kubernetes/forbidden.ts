import { isInCluster, type Plan } from '../../contract/plan.ts';
import { refusedRights, type Right, rightInWords } from './access.ts';
import type { Clusters } from './api.ts';
import { rightsOf } from './rights.ts';

/** A right where it is needed. */
export interface PlacedRight {
  context: string;
  /** Empty for what is in no namespace. */
  namespace: string;
  right: Right;
  /** Whether it is helm that needs it, which has a role of its own. */
  isOfHelm: boolean;
}

/** What is asked of a namespace of a cluster. */
interface Asked {
  context: string;
  namespace: string;
  /** By what they are, each once. */
  rights: Map<string, PlacedRight>;
}

/** The rights that a plan needs beside those on what it changes itself. */
export type RightsBeside = (
  clusters: Clusters,
  plan: Pick<Plan, 'changes'>,
) => Promise<PlacedRight[]>;

/**
 * Why this worker must not begin with a plan: the API server would forbid it one of the changes, perhaps
 * after others were made. Undefined where it may do all of them, and where it cannot be told, since a
 * review that fails is no reason to leave production as it is.
 */
export async function whyForbidden(
  clusters: Clusters,
  plan: Pick<Plan, 'changes'>,
  rightsBeside?: RightsBeside,
): Promise<string | undefined> {
  const own = plan.changes
    .filter(({ target }) => isInCluster(target))
    .flatMap((change) => {
      const { context, namespace, kind } = change.target;
      const place = { context, namespace, isOfHelm: kind === 'helm-release' };
      return rightsOf(change).map((right): PlacedRight => ({ ...place, right }));
    });
  const beside = await rightsBeside?.(clusters, plan).catch(() => []);
  const asked = new Map<string, Asked>();
  for (const placed of [...own, ...(beside ?? [])]) {
    const { context, namespace, right } = placed;
    const key = `${context} ${namespace}`;
    const place = asked.get(key) ?? { context, namespace, rights: new Map() };
    asked.set(key, place);
    place.rights.set(JSON.stringify(right), placed);
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
    const words = [...new Set(refused.map(({ right }) => rightInWords(right)))].join(', ');
    const place = namespace === '' ? 'in the cluster' : `in namespace ${namespace}`;
    return `${words} ${place} of context ${context}`;
  });
  const all = found.flatMap(({ refused }) => refused);
  const roles = [...new Set(all.map(({ isOfHelm }) => (isOfHelm ? helmRole : role)))].join(' and ');
  const instead = all.every(({ right, isOfHelm }) => isDeletion(right) && !isOfHelm)
    ? ', or start again with nothing deleted (--keep for a canary, no --delete for blue-green)'
    : '';
  return `The worker may not ${places.join(', nor ')}, which this plan needs: give it the role in ${roles}${instead}.`;
}

/** Whether a rollback may do without it: pods are deleted to be made anew. */
function isDeletion({ verb, resource }: Right): boolean {
  return verb === 'delete' && resource !== 'pods';
}

/** A role may grant a right for some names alone, which is asked where it does not for all. */
async function refusedAt(
  clusters: Clusters,
  { context, namespace, rights }: Asked,
): Promise<PlacedRight[]> {
  const placed = [...rights.values()];
  const general = new Map(placed.map(({ right }) => [withoutName(right), right]));
  try {
    const cluster = clusters.of(context);
    const refused = await refusedRights(
      cluster,
      namespace,
      [...general.values()].map((right) => ({ ...right, name: undefined })),
    );
    const kinds = new Set(refused.map(withoutName));
    const doubtful = placed.filter(({ right }) => kinds.has(withoutName(right)));
    const named = doubtful.map(({ right }) => right).filter(({ name }) => name !== undefined);
    const granted = new Set(named);
    for (const right of await refusedRights(cluster, namespace, named)) granted.delete(right);
    return doubtful.filter(({ right }) => !granted.has(right));
  } catch {
    return [];
  }
}

function withoutName(right: Right): string {
  return JSON.stringify({ ...right, name: undefined });
}

const role = 'deploy/kubernetes-role.yaml';
const helmRole = 'deploy/kubernetes-role-helm.yaml';
