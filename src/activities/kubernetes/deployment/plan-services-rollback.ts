import { findService } from '../../../config/services.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import type { Settings } from '../../../config/schema.ts';
import { turnOf } from '../../../config/order.ts';
import { digestPlan } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Change, Plan } from '../../../contract/plan.ts';
import { failureTypes } from '../../../contract/failures.ts';
import { ApplicationFailure } from '@temporalio/common';
import { refused } from '../../failures.ts';
import { mergeOwners } from '../../owners/merge-owners.ts';
import type { Clusters } from '../api.ts';
import { chooseServices } from './choose-services.ts';
import {
  type DeploymentDraft,
  draftDeploymentRollback,
  surroundingsOf,
} from './plan-deployment-rollback.ts';

/** As many differences are shown of all Deployments together. */
const mostDifferences = 60;

/**
 * Plans R8: several Deployments, each as `planDeploymentRollback` does, and the order in which they
 * go. One that must not be rolled back refuses the whole plan, with all reasons at once; with `all`
 * it is left out where there is something else to do, and said.
 * @throws Refused
 */
export async function planServicesRollback(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'services'>,
): Promise<Plan> {
  const around = surroundingsOf(clusters, settings, input.context);
  const { chosen, leftOut } = await chooseServices(around.cluster, settings, input);
  const drafts = await Promise.allSettled(
    chosen.map(({ namespace, name }) =>
      draftDeploymentRollback(around, {
        ...{ namespace, name, id: `${namespace}/${name}`, pace: input.pace },
      }),
    ),
  );
  const made: DeploymentDraft[] = [];
  const reasons: string[] = [];
  for (const draft of drafts) {
    if (draft.status === 'fulfilled') made.push(draft.value);
    else reasons.push(reasonOf(draft.reason));
  }
  // Nothing to do beside what must not be done is no success.
  const isRest = input.all && made.some(({ change }) => change !== undefined);
  if (reasons.length > 0 && !isRest) throw refused(reasons.join(' '));
  return planOf(made, settings, [...leftOut, ...reasons.map((reason) => `Left out: ${reason}`)]);
}

/** @throws whatever is no refusal. */
function reasonOf(error: unknown): string {
  if (error instanceof ApplicationFailure && error.type === failureTypes.refused) {
    return error.message;
  }
  throw error;
}

function planOf(drafts: DeploymentDraft[], settings: Settings, leftOut: string[]): Plan {
  const todo = drafts.filter(({ change }) => change !== undefined);
  const done = drafts.filter(({ change }) => change === undefined);
  const turns = turnsOf(todo, settings);
  const changes = todo.flatMap(({ change, companions }, index): Change[] =>
    change === undefined
      ? []
      : [{ ...change, after: { ...change.after, turn: turns[index] ?? 0 } }, ...companions],
  );
  const all = [...changes, ...mergeOwners(todo.map(({ owners }) => owners))];
  const each = Math.max(1, Math.floor(mostDifferences / Math.max(1, todo.length)));
  return digestPlan({
    procedure: 'services',
    targets: all.map(({ target }) => target),
    changes: all,
    summary: summaryOf(todo, done, turns),
    differences: todo.flatMap(({ target, differences }) =>
      shortened(differences, each).map((line) => `${target.name}: ${line}`),
    ),
    warnings: [
      ...(todo.length > 0 ? leftOut : []),
      ...(Math.max(0, ...turns) > 0 ? [orderOf(todo, turns)] : []),
      ...done.flatMap(({ warnings }) => warnings),
      ...mergeWarnings(todo),
    ],
    checks: todo.flatMap(({ change, checks }) =>
      checks.map((check) => ({ ...check, change: check.change ?? change?.id })),
    ),
    estimateSeconds: estimateOf(todo, turns),
  });
}

function summaryOf(todo: DeploymentDraft[], done: DeploymentDraft[], turns: number[]): string {
  const [only] = [...todo, ...done];
  if (!only) return 'No Deployment has anything to go back to: nothing to do.';
  if (todo.length + done.length === 1) return only.summary;
  const names = (drafts: DeploymentDraft[]) => drafts.map(({ target }) => target.name).join(', ');
  const already = `already where they would go back to: ${names(done)}`;
  if (todo.length === 0) {
    const warnings = done.flatMap((draft) => draft.warnings);
    return [`${done.length} Deployments are ${already}; nothing to do.`, ...warnings].join(' ');
  }
  const order = Math.max(0, ...turns) > 0 ? 'in order' : 'at once';
  const inOrder = byTurn(todo, turns).flat();
  const rest = done.length > 0 ? ` ${done.length} are ${already}.` : '';
  return `${todo.length} Deployments go back, ${order}: ${names(inOrder)}.${rest}`;
}

/** Turns from 0 without gaps, in the order of `drafts`. */
function turnsOf(drafts: DeploymentDraft[], settings: Settings): number[] {
  const places = drafts.map(({ target }) => {
    const [service] = findService(settings, target);
    return service === '' ? 0 : (turnOf(settings.services, service) ?? 0);
  });
  const distinct = [...new Set(places)].sort((one, other) => one - other);
  return places.map((place) => distinct.indexOf(place));
}

function orderOf(drafts: DeploymentDraft[], turns: number[]): string {
  const named = byTurn(drafts, turns).map((turn) =>
    turn.map(({ target }) => target.name).join(', '),
  );
  return `In order, each after the one before is complete: ${named.join('; ')}.`;
}

/** The drafts of each turn, in order. */
function byTurn(drafts: DeploymentDraft[], turns: number[]): DeploymentDraft[][] {
  return Array.from({ length: Math.max(0, ...turns) + 1 }, (_, turn) =>
    drafts.filter((_draft, index) => turns[index] === turn),
  );
}

/** Null where one of them cannot begin. */
function estimateOf(drafts: DeploymentDraft[], turns: number[]): number | null {
  const longest = new Map<number, number>();
  for (const [index, { estimateSeconds }] of drafts.entries()) {
    if (estimateSeconds === null) return null;
    const turn = turns[index] ?? 0;
    longest.set(turn, Math.max(longest.get(turn) ?? 0, estimateSeconds));
  }
  return [...longest.values()].reduce((sum, seconds) => sum + seconds, 0);
}

/** Each warning once, with the names of those that it is about. */
function mergeWarnings(drafts: DeploymentDraft[]): string[] {
  const about = new Map<string, string[]>();
  for (const { target, warnings } of drafts) {
    for (const warning of warnings) {
      about.set(warning, [...(about.get(warning) ?? []), target.name]);
    }
  }
  return [...about].map(([warning, names]) =>
    names.length === drafts.length ? warning : `${names.join(', ')}: ${warning}`,
  );
}

function shortened(lines: string[], most: number): string[] {
  if (lines.length <= most) return lines;
  return [...lines.slice(0, most), `and ${lines.length - most} more`];
}
