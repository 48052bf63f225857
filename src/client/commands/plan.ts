import { Clusters } from '../../activities/kubernetes/api.ts';
import { plannerOf } from '../../activities/planners.ts';
import { needsOf, scopeOf } from '../../authority/rules.ts';
import { loadSettings } from '../../config/settings.ts';
import { parseInput, type Procedure } from '../../contract/input.ts';
import type { Plan } from '../../contract/plan.ts';
import { printJson, printLine } from '../output.ts';
import { planLines } from '../view.ts';
import { lastResortCommands } from './last-resort.ts';
import { validate } from './start.ts';

export interface PlanOptions {
  json?: boolean;
  commands?: boolean;
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
  const found = await plannerOf(procedure)(clusters, settings, parseInput(procedure, input));
  // Other regions that were changed within the hour are known to a worker only.
  const regions = [...new Set(found.targets.map(({ context }) => context))];
  const needs = needsOf(scopeOf(found, regions), settings.settings.authority);
  const made: Plan = { ...found, needs };
  const lines = options.commands ? lastResortCommands(made) : planLines(made);
  if (options.json) printJson(options.commands ? { ...made, commands: lines } : made);
  else for (const line of lines) printLine(line);
  return 0;
}
