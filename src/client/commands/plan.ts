import { isUnreachable, toFailure } from '../../activities/failures.ts';
import { Clusters } from '../../activities/kubernetes/api.ts';
import { planIn, plannerOf } from '../../activities/planners.ts';
import { findRegions, joinPlans } from '../../activities/region-plans.ts';
import { needsOf, scopeOf } from '../../authority/rules.ts';
import { type LoadedSettings, loadSettings } from '../../config/settings.ts';
import { parseInput, type Procedure } from '../../contract/input.ts';
import { isInCluster, type Plan, type PlannedRegion } from '../../contract/plan.ts';
import { CliError, exitCodes } from '../errors.ts';
import { printJson, printLine } from '../output.ts';
import { planLines } from '../view.ts';
import { lastResortCommands } from './last-resort.ts';
import { validate } from './start.ts';

export interface PlanOptions {
  json?: boolean;
  commands?: boolean;
}

/** As a run does it, from here: one part for each region that answers, with the approvals that it needs. */
export async function planEverywhere(
  procedure: Procedure,
  clusters: Clusters,
  settings: LoadedSettings,
  rawInput: unknown,
): Promise<Plan> {
  const found = await planRegions(procedure, clusters, settings, rawInput);
  // Other regions that were changed within the hour are known to a worker only.
  const contexts = [...new Set(found.targets.filter(isInCluster).map(({ context }) => context))];
  return { ...found, needs: needsOf(scopeOf(found, contexts), settings.settings.authority) };
}

async function planRegions(
  procedure: Procedure,
  clusters: Clusters,
  settings: LoadedSettings,
  rawInput: unknown,
): Promise<Plan> {
  const input = parseInput(procedure, rawInput);
  const regions = findRegions(settings.settings, input);
  const planner = plannerOf(procedure);
  if (regions.length === 0) return planner(clusters, settings, input);
  const planned = await Promise.allSettled(
    regions.map(({ name }) => planIn(name, planner, clusters, settings, input)),
  );
  const parts = new Map<string, Plan>();
  const told = regions.map((region, index): PlannedRegion => {
    const part = planned[index] as PromiseSettledResult<Plan>;
    if (part.status === 'fulfilled') {
      parts.set(region.name, part.value);
      return region;
    }
    const failure = toFailure(part.reason);
    if (!isUnreachable(failure)) throw part.reason;
    return { ...region, unreachable: failure.message };
  });
  if (parts.size === 0) throw new CliError(missing(told), exitCodes.unreachable);
  return joinPlans(told, parts, input);
}

function missing(regions: PlannedRegion[]): string {
  return regions.map(({ name, unreachable }) => `Region ${name}: ${unreachable}`).join(' ');
}

/** Makes the plan of a procedure here, without Temporal, and prints it, or the commands that do it. */
export async function plan(
  procedure: Procedure,
  input: Record<string, unknown>,
  options: PlanOptions,
): Promise<number> {
  validate(procedure, input);
  const settings = loadSettings();
  const clusters = new Clusters(settings.settings.kubernetes.context);
  const made = await planEverywhere(procedure, clusters, settings, input);
  const lines = options.commands
    ? await lastResortCommands(made, settings.settings, clusters)
    : planLines(made);
  if (options.json) printJson(options.commands ? { ...made, commands: lines } : made);
  else for (const line of lines) printLine(line);
  return 0;
}
