/** Runs over several regions: planned side by side, carried out one after the other or at once. */
import { ApplicationFailure } from '@temporalio/common';
import type { ActivityOptions } from '@temporalio/workflow';
import type { WaitSettings } from '../../contract/authority.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { CommonInput } from '../../contract/input.ts';
import {
  type Change,
  type Plan,
  type Planned,
  type PlannedRegion,
  regionalId,
} from '../../contract/plan.ts';
import { startWorkerOf } from '../../contract/run.ts';
import { messageOf, timeoutOf, typedCause } from './outcome.ts';
import { authority, planningInRegion, regional } from './proxies.ts';
import type { ChangeMandate, ClosingAction, CutShort, Run, Step } from './run.ts';
import type { WholeRun } from './steps.ts';

type PlanOne<Input> = (
  input: unknown,
  earlier?: string,
  region?: string,
) => Promise<Planned<Input>>;

/**
 * Plans for the regions that the input asks for, or at once where it asks for none. One that does not
 * answer is said in the plan and left out of it; where none does, that is thrown.
 */
export async function planEverywhere<Input>(
  plan: PlanOne<Input>,
  rawInput: unknown,
  earlier: string | undefined,
): Promise<Planned<Input>> {
  if (!asksForRegions(rawInput)) return plan(rawInput, earlier);
  const regions = await authority.findRegions(rawInput as CommonInput);
  const planned = await Promise.allSettled(
    regions.map(({ name, taskQueue }) =>
      regional.run({ ...planningInRegion, taskQueue }, () => plan(rawInput, earlier, name)),
    ),
  );
  const parts: { region: string; planned: Planned<Input> }[] = [];
  const told = regions.map((region, index): PlannedRegion => {
    const part = planned[index] as PromiseSettledResult<Planned<Input>>;
    if (part.status === 'fulfilled') {
      parts.push({ region: region.name, planned: part.value });
      return region;
    }
    if (!isUnreachable(part.reason)) throw part.reason;
    return { ...region, unreachable: messageOf(part.reason) };
  });
  const [first] = parts;
  if (!first) throw (planned[0] as PromiseRejectedResult).reason;
  const joined = await authority.joinRegions({
    ...{ rawInput, earlier, regions: told },
    input: first.planned.input as CommonInput,
    parts: parts.map(({ region, planned: { plan: part, seal } }) => ({ region, plan: part, seal })),
  });
  return joined as Planned<Input>;
}

/** A field of another type is told by the plan, which validates. */
function asksForRegions(input: unknown): boolean {
  const { regions } = (input ?? {}) as { regions?: unknown };
  return Array.isArray(regions) && regions.length > 0;
}

/** Whether a region's cluster does not answer, or no worker does on its queue. */
function isUnreachable(error: unknown): boolean {
  if (typedCause(error)?.type === failureTypes.unreachable) return true;
  return timeoutOf(error) !== undefined;
}

/** Title of a step as the whole run has it. */
export function titleIn(region: string | undefined, title: string): string {
  return region === undefined ? title : `${title} in ${region}`;
}

/** What is to be done about regions that could not be reached, a sentence each. */
export function missedRegions({ regions = [] }: Plan): string[] {
  return regions.flatMap(({ name, unreachable }) =>
    unreachable === undefined
      ? []
      : [
          `Region ${name} was not reached and stands as it stood (${unreachable}): start again with --regions ${name} when it answers.`,
        ],
  );
}

/** Takes a procedure's steps in each region of the plan, and verifies each. */
export async function takeStepsEverywhere(
  run: WholeRun,
  { input: { regionOrder }, wait }: { input: CommonInput; wait: WaitSettings },
  steps: (run: Run) => Promise<void>,
): Promise<void> {
  const { regions, changes } = run.plan;
  if (!regions) return steps(run);
  const branches = regions
    .filter(({ name }) => changes.some(({ target }) => target.region === name))
    .map((region) => async () => {
      const there = new RegionalRun(run, region, wait);
      await steps(there);
      await there.verify();
    });
  if (regionOrder === 'together') return run.together(branches);
  for (const branch of branches) await branch();
}

/** The part of a run that is in one region: as a run of its own, of which all titles tell the region. */
class RegionalRun implements Run {
  readonly plan: Plan;
  private readonly whole: WholeRun;
  private readonly region: PlannedRegion;
  private readonly options: Partial<ActivityOptions>;

  constructor(whole: WholeRun, region: PlannedRegion, { workerMissingAfterMs }: WaitSettings) {
    const { targets, changes, checks } = whole.plan;
    const prefix = regionalId(region.name, '');
    this.whole = whole;
    this.region = region;
    const { taskQueue } = region;
    this.options =
      taskQueue === undefined ? {} : { taskQueue, scheduleToStartTimeout: workerMissingAfterMs };
    this.plan = {
      ...whole.plan,
      targets: targets.filter((target) => target.region === region.name),
      changes: changes
        .filter(({ target }) => target.region === region.name)
        .map((change) => ({ ...change, id: change.id.slice(prefix.length) })),
      // As they are in the whole plan: workers know them by what they are.
      checks: checks.filter(({ change }) => change?.startsWith(prefix)),
    };
  }

  get isAborted(): boolean {
    return this.whole.isAborted;
  }

  change<C extends Change>(id: string): ChangeMandate<C> {
    return this.whole.change(regionalId(this.region.name, id));
  }

  changes<C extends Change>(name: string): ChangeMandate<C>[] {
    return this.whole.changes(regionalId(this.region.name, name));
  }

  /** One region of several may be left out, which the result then says. */
  step(title: string, { do: action, undo, undoOnlyIf, ...step }: Step): Promise<void> {
    const there =
      <T>(act: () => Promise<T>) =>
      () =>
        this.there(act);
    return this.whole.step(titleIn(this.region.name, title), {
      ...step,
      isNeeded: step.isNeeded === true && this.whole.plan.regions?.length === 1,
      do: there(action),
      undo: undo && there(undo),
      undoOnlyIf: undoOnlyIf && there(undoOnlyIf),
    });
  }

  wait(title: string, ms: number): Promise<CutShort | undefined> {
    return this.whole.wait(titleIn(this.region.name, title), ms);
  }

  together(branches: readonly (() => Promise<void>)[]): Promise<void> {
    return this.whole.together(branches);
  }

  verify(): Promise<void> {
    return this.whole.runChecks(this.plan.checks, this);
  }

  get isWhole(): boolean {
    return this.whole.isWhole;
  }

  leaveOpen(text: string): void {
    this.whole.leaveOpen(titleIn(this.region.name, text));
  }

  ifCutShort(title: string, action: ClosingAction): void {
    this.whole.ifCutShort(titleIn(this.region.name, title), (isEnd) =>
      this.there(() => action(isEnd)),
    );
  }

  private async there<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await regional.run(this.options, action);
    } catch (error) {
      if (timeoutOf(error) !== 'SCHEDULE_TO_START') throw error;
      const { name, taskQueue } = this.region;
      throw ApplicationFailure.create({
        type: failureTypes.unreachable,
        message: `No worker of region ${name} has taken this up from task queue ${taskQueue}: ${startWorkerOf(name)}, then retry. An abort needs one as well.`,
        cause: error as Error,
      });
    }
  }
}
