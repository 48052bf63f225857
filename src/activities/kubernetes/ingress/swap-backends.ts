import { ApplicationFailure } from '@temporalio/common';
import { hashOf } from '../../../contract/digest.ts';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Cluster, Clusters, JsonPatchOperation } from '../api.ts';
import { type Aspect, changeObject } from '../change-object.ts';
import type { Comparison } from '../deployment/compare-revisions.ts';
import { assertMayUndo } from '../may-undo.ts';
import { annotationPointer, inWords, markOf, readTarget } from '../objects.ts';
import { compareRedirect } from './compare-redirect.ts';
import {
  type BackendsMandate,
  type BackendsReference,
  type Ingress,
  type Maintenance,
  type Part,
  partOf,
  redirectedAnnotation,
  redirectedOf,
  servicesOf,
  swapped,
} from './ingress.ts';
import { assertServed, servingOf } from './maintenance.ts';

/** A run that fails does so by then. */
const pageMayReturnMs = 15 * 60_000;

/**
 * Sends the host's traffic that comes by this Ingress to the maintenance Service, or back to where it
 * went before, as was noted on the Ingress then. Other hosts' rules and certificates stay.
 * @throws RolloutBlocked where nobody would answer there.
 * @throws PlanStale as changeObject and assertMayUndo do.
 */
export async function swapBackends(clusters: Clusters, mandate: BackendsMandate): Promise<Effect> {
  const { change, undo } = mandate;
  const { target } = change;
  const cluster = clusters.of(target.context);
  const to = undo ? change.before : change.after;
  const maintenance = maintenanceOf(to);
  if (change.after.service !== null) {
    await assertMayUndo(mandate, () => compareRedirect(clusters, mandate));
  } else await assertMayUndo(mandate, () => compareReturn(cluster, mandate));
  if (maintenance) await assertServed(cluster, target.namespace, maintenance);
  else if (!undo) await assertAnyServes(cluster, mandate);

  const aspect: Aspect<Ingress, { backends: string }> = {
    stateOf: (ingress) => ({ backends: hashOf(partOf(ingress, to.host)) }),
    operations(ingress) {
      const { [to.host]: noted, ...others } = redirectedOf(ingress);
      const before = noted?.before ?? partOf(ingress, to.host);
      const part = maintenance ? swapped(before, maintenance) : before;
      if (hashOf(part) !== to.backends) {
        throw stale(
          `What was noted on ${inWords(target)} is not what the plan goes to: look at its annotation ${redirectedAnnotation}. Nothing was changed.`,
        );
      }
      const now = { run: mandate.run.workflowId, at: new Date().toISOString() };
      const redirected = maintenance
        ? { ...others, [to.host]: { ...maintenance, before, ...now } }
        : others;
      return [...partOperations(ingress, to.host, part), noteOperation(redirected)];
    },
    inWords: ({ backends }) =>
      backends === to.backends
        ? `sends ${to.host} to ${maintenance ? `Service ${maintenance.service}` : 'where it went before'}`
        : `sends ${to.host} elsewhere`,
  };
  const narrowed = {
    ...mandate,
    change: {
      ...change,
      before: { backends: change.before.backends },
      after: { backends: change.after.backends },
    },
  };
  return changeObject(clusters, narrowed, aspect);
}

/** The page may come back by itself for a while: what was shown before was the page as well. */
async function compareReturn(cluster: Cluster, { change }: BackendsMandate): Promise<Comparison> {
  const at = markOf(await readTarget<Ingress>(cluster, change.target))?.at;
  const sinceMs = Date.now() - Date.parse(at ?? '');
  return {
    beforeIsHealthier: sinceMs < pageMayReturnMs,
    nothingToUndo: at === undefined,
    text: `the redirect was taken back at ${at}`,
  };
}

function maintenanceOf({ service, port }: BackendsReference): Maintenance | undefined {
  return service === null || port === null ? undefined : { service, port };
}

/** @throws RolloutBlocked where none of the Services that get the traffic back has a ready endpoint. */
async function assertAnyServes(cluster: Cluster, { change }: BackendsMandate): Promise<void> {
  const { target, after } = change;
  const ingress = await readTarget<Ingress>(cluster, target);
  const noted = redirectedOf(ingress)[after.host];
  const services = noted ? servicesOf(noted.before) : [];
  if (!noted || services.length === 0) return;
  if ((await servingOf(cluster, target.namespace, services)).length > 0) return;
  throw ApplicationFailure.nonRetryable(
    `${inWords(target)} stays as it is: of the Services that would get the traffic of ${after.host} back (${services.join(', ')}) none has a ready endpoint. Bring them up, then try again.`,
    failureTypes.rolloutBlocked,
  );
}

function partOperations({ spec }: Ingress, host: string, part: Part): JsonPatchOperation[] {
  const own = [...part.rules];
  const rules = spec?.rules?.map((rule) => (rule.host === host ? own.shift() : rule));
  const { defaultBackend } = part;
  return [
    ...(rules ? [{ op: 'replace', path: '/spec/rules', value: rules } as const] : []),
    ...(defaultBackend
      ? [{ op: 'replace', path: '/spec/defaultBackend', value: defaultBackend } as const]
      : []),
  ];
}

function noteOperation(redirected: object): JsonPatchOperation {
  const path = annotationPointer(redirectedAnnotation);
  return Object.keys(redirected).length === 0
    ? { op: 'remove', path }
    : { op: 'add', path, value: JSON.stringify(redirected) };
}
