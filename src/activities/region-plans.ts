/** Plans of several regions as one. */
import { ApplicationFailure } from '@temporalio/common';
import type { Settings } from '../config/schema.ts';
import { digestPlan } from '../contract/digest.ts';
import type { CommonInput } from '../contract/input.ts';
import { type Plan, type PlannedRegion, regionalId } from '../contract/plan.ts';
import { isUnreachable, refused, toFailure } from './failures.ts';

/** @throws Refused for one that the settings do not have. */
export function regionOf({ regions }: Settings, name: string): Settings['regions'][string] {
  const found = Object.hasOwn(regions, name) ? regions[name] : undefined;
  if (found) return found;
  throw refused(
    `There is no region ${name}: the settings have ${Object.keys(regions).join(', ') || 'none'}.`,
  );
}

/**
 * The regions that an input asks for, in its order, without those that it leaves out; none where it
 * is for one cluster.
 * @throws Refused for one that the settings do not have, and where nothing is left.
 */
export function findRegions(
  settings: Settings,
  { regions = [], skipRegion = [], context }: CommonInput & { context?: string },
): PlannedRegion[] {
  if (regions.length === 0) return [];
  if (context !== undefined) {
    throw refused('Regions and a context are both named: leave one of the two out.');
  }
  for (const name of skipRegion) regionOf(settings, name);
  const left = [...new Set(regions)].filter((name) => !skipRegion.includes(name));
  if (left.length === 0) throw refused('All regions are left out: name one to roll back in.');
  return left.map((name) => {
    const { taskQueue } = regionOf(settings, name);
    return { name, ...(taskQueue === undefined ? {} : { taskQueue }) };
  });
}

/** A plan as the part of one for several regions. */
export function inRegion(region: string, plan: Plan): Plan {
  const targets = plan.targets.map((target) => ({ ...target, region }));
  const changes = plan.changes.map((change) => ({
    ...change,
    id: regionalId(region, change.id),
    target: { ...change.target, region },
  }));
  const first = changes[0]?.id;
  const checks = plan.checks.map(({ change, ...check }) => ({
    ...check,
    change: change === undefined ? first : regionalId(region, change),
  }));
  return digestPlan({ ...plan, targets, changes, checks });
}

/** What keeps a region from being planned, with its name in front; of one that does not answer the plan of all says it. */
export function failureIn(region: string, error: unknown): Error {
  const failure = toFailure(error);
  if (!(failure instanceof ApplicationFailure) || isUnreachable(failure)) return failure;
  const { type, nonRetryable, details, cause } = failure;
  const message = `Region ${region}: ${failure.message}`;
  return new ApplicationFailure(message, type, nonRetryable, details, cause);
}

/** One plan of the parts, in the order of the regions; those that cannot be reached are only said. */
export function joinPlans(
  regions: readonly PlannedRegion[],
  parts: ReadonlyMap<string, Plan>,
  { regionOrder }: CommonInput,
): Plan {
  const planned = [...parts];
  const [procedure] = planned.map(([, plan]) => plan.procedure);
  const all = <T>(of: (plan: Plan, region: string) => T[]) =>
    planned.flatMap(([region, plan]) => of(plan, region));
  const about = (lines: string[], region: string) => lines.map((line) => `${region}: ${line}`);
  const estimates = planned.map(([, { estimateSeconds }]) => estimateSeconds);
  const seconds = estimates.filter((each) => each !== null);
  const isTogether = regionOrder === 'together';
  return digestPlan({
    procedure: procedure ?? '',
    targets: all(({ targets }) => targets),
    changes: all(({ changes }) => changes),
    summary: all(({ summary }, region) => [`In ${region}: ${summary}`]).join(' '),
    differences: all(({ differences }, region) => about(differences, region)),
    warnings: [
      ...regions.flatMap(({ name, unreachable }) =>
        unreachable === undefined
          ? []
          : [`Region ${name} is unreachable, and not part of this plan: ${unreachable}`],
      ),
      ...(planned.length > 1
        ? [
            isTogether
              ? 'All regions at once.'
              : `One region after the other, each verified before the next: ${planned.map(([name]) => name).join(', ')}.`,
          ]
        : []),
      ...all(({ warnings }, region) => about(warnings, region)),
    ],
    checks: all(({ checks }) => checks),
    estimateSeconds:
      seconds.length < estimates.length
        ? null
        : isTogether
          ? Math.max(0, ...seconds)
          : seconds.reduce((sum, each) => sum + each, 0),
    regions: [...regions],
  });
}
