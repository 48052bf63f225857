/**
 * `npm run chaos`: every procedure, hurt at every request that its worker makes, and random
 * programs of outages, kills and messages. Prints what did not end as it should, writes all to
 * build/chaos.json, and fails if there is anything.
 */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { Command } from 'commander';
import { activityClasses } from '../src/contract/activities.ts';
import { stopOnSignal } from '../src/workers/stop-on-signal.ts';
import { workflowBundle } from '../src/workers/workflow-bundle.ts';
import { Lane } from './chaos/lane.ts';
import { casesOf, inPeace, nameOf, tryCase, type Verdict } from './chaos/matrix.ts';
import { tryProgram } from './chaos/programs.ts';
import { replay } from './chaos/replay.ts';
import { scenarios } from './chaos/scenarios.ts';
import { down, up } from './sandbox.ts';
import { repository } from './setup/folders.mjs';

const options = new Command('npm run chaos --')
  .description('Kills workers, cuts connections and worse, at every request of every procedure.')
  .option('--scenarios <words>', 'only scenarios whose name has these words', '')
  .option('--only <words>', 'only cases whose name has these words, such as "kill before"', '')
  .option('--every <number>', 'only every so many-th case, for a sample', Number, 1)
  .option('--programs <number>', 'random programs after the cases', Number, 20)
  .option('--seed <number>', 'seed of the first random program; the next has the next', Number, 1)
  .option('--lanes <number>', 'how many at a time, each with a Temporal of its own', Number, 3)
  .option('--list', 'only name the cases')
  .parse()
  .opts<{
    scenarios: string;
    only: string;
    every: number;
    programs: number;
    seed: number;
    lanes: number;
    list?: boolean;
  }>();

/** Something to try in a lane. */
interface Trial {
  name: string;
  run(lane: Lane): Promise<Verdict>;
}

const stop = stopOnSignal();
const dir = mkdtempSync(join(tmpdir(), 'rollback-chaos-'));
chmodSync(dir, 0o755);
const without = ['temporal'] as const;
const lanes: Lane[] = [];
try {
  const variables = await up({ dir, readyMs: 300, without, signal: stop.signal });
  Object.assign(process.env, variables);
  for (let count = 0; count < options.lanes; count++) lanes.push(await Lane.open());
  const trials = (await allTrials())
    .filter(({ name }) => name.includes(options.only))
    .filter((_, index) => index % options.every === 0);
  if (options.list) for (const { name } of trials) process.stdout.write(`${name}\n`);
  else report(await tryAll(trials), await replayAll());
} finally {
  await Promise.all(lanes.map((lane) => lane.close()));
  await down(dir);
}

async function allTrials(): Promise<Trial[]> {
  const wanted = scenarios.filter(({ name }) => name.includes(options.scenarios));
  const trials: Trial[] = [];
  const played = new Set<string>();
  await inLanes(wanted, async (scenario, lane) => {
    const peace = await inPeace(lane, scenario);
    for (const activity of peace.activities) played.add(activity);
    const cases = casesOf(peace);
    trials.push(...cases.map((one) => ({ name: nameOf(one), run: tryCase.bind(null, one) })));
  });
  if (options.scenarios === '') assertAllPlayed(played);
  for (let seed = options.seed; seed < options.seed + options.programs; seed++) {
    trials.push({ name: `random program ${seed}`, run: (lane) => tryProgram(lane, seed) });
  }
  return trials;
}

/** Every activity must be in a scenario, but for those that only regions have: chaos has one cluster. */
function assertAllPlayed(played: ReadonlySet<string>): void {
  const ofRegions = ['authority.findRegions', 'authority.joinRegions'];
  const missing = Object.keys(activityClasses).filter(
    (name) => !played.has(name) && !ofRegions.includes(name),
  );
  if (missing.length > 0 && !stop.signal.aborted) {
    throw new Error(`No scenario has these activities: ${missing.join(', ')}.`);
  }
}

/** Does something with each item, as many at a time as there are lanes, until it is interrupted. */
async function inLanes<T>(items: readonly T[], act: (item: T, lane: Lane) => Promise<void>) {
  const waiting = [...items];
  const work = async (lane: Lane) => {
    for (let next = waiting.shift(); next && !stop.signal.aborted; next = waiting.shift()) {
      await act(next, lane);
    }
  };
  await Promise.all(lanes.map(work));
}

/** Tries all and tells how each went. */
async function tryAll(trials: readonly Trial[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  await inLanes(trials, async (trial, lane) => {
    const verdict = await trial.run(lane);
    verdicts.push(verdict);
    const { name, seconds, isReached, difference } = verdict;
    const mark = difference ? 'BAD ' : isReached ? 'ok  ' : 'none';
    const count = `${verdicts.length}/${trials.length}`;
    process.stdout.write(`${mark} ${count} ${seconds.toFixed(1)} s  ${name}\n`);
    if (difference) process.stdout.write(`${difference}\n`);
  });
  return verdicts;
}

/** Every run that was hurt must also be told again from its history. */
async function replayAll(): Promise<string[]> {
  const logger = new DefaultLogger('ERROR');
  Runtime.install({ logger });
  const bundle = await workflowBundle(logger);
  const histories = await Promise.all(lanes.map((lane) => lane.histories()));
  return replay(bundle, histories.flat());
}

function report(verdicts: readonly Verdict[], broken: readonly string[]): void {
  const file = join(repository, 'build', 'chaos.json');
  mkdirSync(join(repository, 'build'), { recursive: true });
  writeFileSync(file, JSON.stringify({ at: new Date().toISOString(), verdicts, broken }, null, 2));
  const bad = verdicts.filter(({ difference }) => difference !== undefined).length;
  const missed = verdicts.filter(({ isReached }) => !isReached).length;
  process.stdout.write(
    `${verdicts.length} tried, ${bad} bad, ${missed} did not come by their point. Written to ${file}.\n`,
  );
  for (const sentence of broken) process.stdout.write(`${sentence}\n`);
  const isWhole = verdicts.length > missed && !stop.signal.aborted;
  if (!isWhole) process.stdout.write('Not everything was tried, so nothing is proved.\n');
  if (bad + broken.length > 0 || !isWhole) process.exitCode = 1;
}
