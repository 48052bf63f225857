import { hashOf } from '../../../contract/digest.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import { giveUpFields } from '../../owners/give-up-fields.ts';
import type { Clusters } from '../api.ts';
import { type Aspect, changeObject } from '../change-object.ts';
import { fieldOperations, fieldsAt, pointerInWords } from '../fields.ts';
import { inWords, type KubernetesObject, readTarget } from '../objects.ts';
import { fieldsOf, type RoutesChange, type RoutesMandate, sidesOf } from './canary-change.ts';
import { type Mesh, readMesh, routesIn, selectorOf } from './mesh.ts';
import { trafficTo } from './routes.ts';
import { assertStableReady, blocked, readReadiness } from './sides.ts';

/**
 * Turns the routes of one router away from the canary, or back to it: the planned fields and nothing
 * else. Requests go only where pods are ready for them; back to the canary only where it is measured
 * to be healthier or somebody has signed that they shall.
 * @throws RolloutBlocked where nobody is ready for the requests; nothing was changed.
 * @throws PlanStale as changeObject does, and where a route sends something to the canary that the plan
 *   does not know.
 */
export async function shiftTraffic(clusters: Clusters, mandate: RoutesMandate): Promise<Effect> {
  const { change, undo } = mandate;
  const { context, namespace } = change.target;
  const cluster = clusters.of(context);
  const aspect = routesAspect(change);
  const router = await readTarget<KubernetesObject>(cluster, change.target);
  const isDone = hashOf(aspect.stateOf(router)) === hashOf(undo ? change.before : change.after);
  const mesh = await readMesh(cluster, namespace);
  const assertReady = undo ? assertMayReturn : assertAway;
  const note = isDone ? undefined : await assertReady(mesh, mandate);
  const { changed, text } = await changeObject(clusters, mandate, aspect);
  // Whoever applies the router shall not meet a conflict; GitOps is held where it is found.
  await giveUpFields(
    cluster,
    change.target,
    await readTarget<KubernetesObject>(cluster, change.target),
  );
  return { changed, text: [text, note].filter(Boolean).join(' ') };
}

/** What of a router's routes concerns the canary. */
export function routesAspect(
  change: RoutesChange,
): Aspect<KubernetesObject, RoutesChange['before']> {
  const { before, after, target } = change;
  const { canary } = sidesOf(change);
  const pointers = Object.keys(fieldsOf(before));
  return {
    stateOf: (router) => {
      const others = routesIn(target.kind, router)
        .flatMap((route) => trafficTo(route, canary))
        .filter(({ fields }) => !Object.keys(fields).some((field) => pointers.includes(field)));
      return {
        ...{ canary: before.canary, stable: before.stable },
        ...fieldsAt(router, pointers),
        ...Object.fromEntries(others.flatMap(({ fields }) => Object.entries(fields))),
      };
    },
    operations: (router, to) => fieldOperations(router, fieldsOf(to)),
    inWords: (state) => {
      const told = Object.entries(fieldsOf(state)).filter(
        ([pointer]) => before[pointer] !== after[pointer] || !pointers.includes(pointer),
      );
      return `has ${told.map(([pointer, value]) => `${pointerInWords(pointer)} ${value ?? '(none)'}`).join(', ')}`;
    },
  };
}

async function assertAway(mesh: Mesh, { change }: RoutesMandate): Promise<string | undefined> {
  const sides = sidesOf(change);
  return sides.stable.length === 0 ? undefined : assertStableReady(mesh, sides);
}

async function assertMayReturn(mesh: Mesh, mandate: RoutesMandate): Promise<undefined> {
  const { change, authority } = mandate;
  const sides = sidesOf(change);
  const what = inWords(change.target);
  const gone = sides.canary.filter((destination) => !selectorOf(mesh, destination));
  if (gone.length > 0) {
    throw stale(
      `${what} stays as it is: nothing makes ${gone.join(' and ')} any more, so requests would be lost.`,
    );
  }
  const { canary, stable, text } = await readReadiness(mesh, sides);
  if (authority.abort === undefined && !(canary > 0 && stable === 0)) {
    throw stale(`${what} stays as it is: the canary is not healthier (${text}).`);
  }
  if (canary === 0 && stable > 0) {
    throw blocked(`${what} stays as it is: the canary has no ready pod (${text}).`);
  }
}
