/**
 * The short form of `npm run chaos`, with a Deployment: workers are killed where something was just changed and where
 * it is about to be known, and stopped where they would wake up as zombies. With a database, worker and server are
 * killed in the middle of its swap.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Runtime } from '@temporalio/worker';
import { type Case, casesOf, inPeace, type Peace, tryCase } from '../sandbox/chaos/matrix.ts';
import { Lane } from '../sandbox/chaos/lane.ts';
import { tryProgram } from '../sandbox/chaos/programs.ts';
import { replay } from '../sandbox/chaos/replay.ts';
import { databasesScenarios } from '../sandbox/chaos/scenarios/databases.ts';
import { deploymentScenarios as scenarios } from '../sandbox/chaos/scenarios/deployment.ts';
import { activityClasses } from '../src/contract/activities.ts';
import { workflowBundle } from '../src/workers/workflow-bundle.ts';
import { silentLogger } from './support/silent-logger.ts';

const lanes: Lane[] = [];
let peaces: Peace[];

beforeAll(async () => {
  Runtime.install({ logger: silentLogger });
  for (let count = 0; count < 3; count++) lanes.push(await Lane.open());
  const waiting = [...scenarios];
  peaces = [];
  const play = async (lane: Lane) => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      peaces.push(await inPeace(lane, next));
    }
  };
  await Promise.all(lanes.map(play));
});
afterAll(() => Promise.all(lanes.map((lane) => lane.close())));

/** Tries the cases in all lanes, and answers what went wrong. */
async function wrongWith(cases: Case[]): Promise<string[]> {
  expect(cases).not.toHaveLength(0);
  const waiting = [...cases];
  const wrong: string[] = [];
  const work = async (lane: Lane) => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { name, isReached, difference } = await tryCase(next, lane);
      // Of several alike, a run may come by fewer than the one in peace.
      const isMissed = !isReached && next.point.nth === 1;
      if (difference || isMissed) wrong.push(`${name}: ${difference ?? 'not reached'}`);
    }
  };
  await Promise.all(lanes.map(work));
  return wrong;
}

/** The cases of all scenarios, each change of the same name once. */
function distinctCases(fits: (one: Case) => boolean): Case[] {
  const seen = new Set<string>();
  return peaces.flatMap(casesOf).filter((one) => {
    const { fault, point } = one;
    const key = [fault, point.side, point.server, point.what, point.nth].join(' ');
    if (!fits(one) || seen.has(key)) return false;
    return seen.add(key);
  });
}

test('every activity of a Deployment and of what all procedures share is among those that are hurt', () => {
  const ran = new Set(peaces.flatMap(({ activities }) => activities));
  const shared = Object.keys(activityClasses).filter((name) => /^(lock|people)\./.test(name));
  const own = ['planDeploymentRollback', 'compareRevisions', 'restoreTemplate', 'driveRollout'];
  expect([...ran].sort()).toEqual(
    [
      ...[...own, 'handBackDeployment'].map((name) => `kubernetes.${name}`),
      ...['verification.runCheck', 'authority.assessDecision', ...shared],
    ].sort(),
  );
});

test('a worker that is killed when it has changed something, and nobody knows, repeats nothing', async () => {
  const changes = distinctCases(
    ({ fault, point: { side, what } }) =>
      fault === 'kill' && side === 'after' && what.startsWith('PATCH'),
  );
  expect(await wrongWith(changes)).toEqual([]);
}, 180_000);

test('a worker that is killed before its work is known does it again, to the same end', async () => {
  // An attempt may fail in one run and not in another, so its failure is no point to come by.
  const answers = distinctCases(
    ({ fault, point: { side, what, nth } }) =>
      fault === 'kill' &&
      side === 'before' &&
      nth === 1 &&
      /^(Respond(?!ActivityTaskFailed)|Start|Terminate)/.test(what),
  );
  expect(await wrongWith(answers)).toEqual([]);
}, 180_000);

test('a worker that wakes up when another has done its work changes nothing', async () => {
  const late = distinctCases(
    ({ fault, point: { side, what, nth } }) =>
      fault === 'zombie' && side === 'before' && nth === 1 && /^(PATCH|Start)/.test(what),
  );
  expect(await wrongWith(late)).toEqual([]);
}, 180_000);

test('Temporal and Kubernetes may go away and come back in the middle of a change', async () => {
  const outages = distinctCases(
    ({ fault, point }) => ['restart', 'away'].includes(fault) && point.nth === 1,
  );
  expect(await wrongWith(outages)).toEqual([]);
}, 180_000);

test('a database whose swap is cut off is the old one or the new one, and serves', async () => {
  const [scenario] = databasesScenarios;
  if (!scenario) throw new Error('There is no scenario of a database.');
  const peace = await inPeace(lanes[0] as Lane, scenario);
  const commits = peace.exchanges.filter(({ what }) => what === 'commit');
  const isAtSwap = ({ point: { what, nth } }: Case) =>
    what === 'alter database "NAME" rename to "NAME_old_TIME"' ||
    (what === 'commit' && nth === commits.length);
  const wanted = [
    ['kill', 'after', 'alter'],
    ['crash', 'before', 'commit'],
    ['kill', 'after', 'commit'],
  ];
  const cases = casesOf(peace).filter(
    (one) =>
      isAtSwap(one) &&
      wanted.some(
        ([fault, side, verb = '']) =>
          one.fault === fault && one.point.side === side && one.point.what.startsWith(verb),
      ),
  );
  expect(cases).toHaveLength(wanted.length);
  expect(await wrongWith(cases)).toEqual([]);
}, 180_000);

test('whatever happens in whatever order, a run ends and leaves nothing behind', async () => {
  const verdicts = await Promise.all(lanes.map((lane, index) => tryProgram(lane, 101 + index)));
  expect(verdicts.flatMap(({ difference }) => difference ?? [])).toEqual([]);
}, 180_000);

test('what was hurt can be told again from its history', async () => {
  const histories = (await Promise.all(lanes.map((lane) => lane.histories()))).flat();
  expect(histories.length).toBeGreaterThan(scenarios.length);
  expect(await replay(await workflowBundle(silentLogger), histories)).toEqual([]);
});
