/**
 * `npm run chaos`: every procedure, hurt at every request that its worker makes. Prints what did
 * not end as it does undisturbed, writes all to build/chaos.json, and fails if there is anything.
 */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { Lane } from './chaos/lane.ts';
import { type Case, casesOf, inPeace, nameOf, tryCase, type Verdict } from './chaos/matrix.ts';
import { scenarios } from './chaos/scenarios.ts';
import { down, up } from './sandbox.ts';
import { repository } from './setup/folders.mjs';

const options = new Command('npm run chaos --')
  .description('Kills workers and cuts connections at every request of every procedure.')
  .option('--only <words>', 'only cases whose name has these words, such as "kill before"')
  .option('--lanes <number>', 'how many at a time, each with a Temporal of its own', Number, 3)
  .option('--list', 'only name the cases')
  .parse()
  .opts<{ only?: string; lanes: number; list?: boolean }>();

const dir = mkdtempSync(join(tmpdir(), 'rollback-chaos-'));
chmodSync(dir, 0o755);
const without = ['temporal', 'postgres', 'redis', 'wakala'] as const;
const lanes: Lane[] = [];
try {
  Object.assign(process.env, await up({ dir, readyMs: 300, without }));
  for (let count = 0; count < options.lanes; count++) lanes.push(await Lane.open());
  const [first] = lanes;
  if (!first) throw new Error('There must be at least one lane.');
  const cases: Case[] = [];
  for (const scenario of scenarios) cases.push(...casesOf(await inPeace(first, scenario)));
  const chosen = cases.filter((one) => nameOf(one).includes(options.only ?? ''));
  if (options.list) for (const one of chosen) process.stdout.write(`${nameOf(one)}\n`);
  else report(await tryAll(chosen));
} finally {
  await Promise.all(lanes.map((lane) => lane.close()));
  await down(dir);
}

async function tryAll(cases: readonly Case[]): Promise<Verdict[]> {
  const waiting = [...cases];
  const verdicts: Verdict[] = [];
  const work = async (lane: Lane) => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const verdict = await tryCase(lane, next);
      verdicts.push(verdict);
      const { name, seconds, isReached, difference } = verdict;
      const mark = difference ? 'BAD ' : isReached ? 'ok  ' : 'none';
      const count = `${verdicts.length}/${cases.length}`;
      process.stdout.write(`${mark} ${count} ${seconds.toFixed(1)} s  ${name}\n`);
      if (difference) process.stdout.write(`${difference}\n`);
    }
  };
  await Promise.all(lanes.map(work));
  return verdicts;
}

function report(verdicts: readonly Verdict[]): void {
  const file = join(repository, 'build', 'chaos.json');
  mkdirSync(join(repository, 'build'), { recursive: true });
  writeFileSync(file, JSON.stringify({ at: new Date().toISOString(), verdicts }, null, 2));
  const bad = verdicts.filter(({ difference }) => difference !== undefined).length;
  const missed = verdicts.filter(({ isReached }) => !isReached).length;
  process.stdout.write(
    `${verdicts.length} cases, ${bad} bad, ${missed} did not come by their point. Written to ${file}.\n`,
  );
  if (bad > 0) process.exitCode = 1;
}
