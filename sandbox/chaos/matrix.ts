/**
 * The matrix of chaos: every scenario is played once in peace, with every request of its worker
 * noted; then again for each of those requests, hurt there. Each time it must end as in peace.
 */
import { isDeepStrictEqual } from 'node:util';
import { faults, type Fault, type FaultName, type Point } from './faults.ts';
import type { Ending, Lane, PlayedHistory } from './lane.ts';
import type { Scenario } from './scenario.ts';
import type { Exchange, ServerName, Side } from './wire.ts';

/** A scenario as it goes when nothing happens to it. */
export interface Peace {
  scenario: Scenario;
  ending: Ending;
  exchanges: Exchange[];
  /** Names of the activities that it has, those done within a workflow task as well. */
  activities: string[];
}

export interface Case {
  peace: Peace;
  fault: FaultName;
  point: Point;
}

/** How a case went; `difference` where it did not end as in peace. */
export interface Verdict {
  name: string;
  seconds: number;
  /** False where the run did not come by the point this time, so that nothing was tried. */
  isReached: boolean;
  difference?: string;
}

/** Plays a scenario undisturbed. */
export async function inPeace(lane: Lane, scenario: Scenario): Promise<Peace> {
  const exchanges: Exchange[] = [];
  const begin = ({ wires }: Lane) => {
    for (const wire of Object.values(wires)) {
      wire.observe((exchange, side) => {
        if (side === 'before') exchanges.push(exchange);
        return Promise.resolve('pass');
      });
    }
  };
  const ending = await lane.play(scenario, { begin });
  if (ending.outcome !== scenario.outcome) {
    throw new Error(`In peace "${scenario.name}" is ${ending.outcome}: ${ending.message}`);
  }
  const histories = [lane.lastHistory, ...lane.lastChildren];
  const activities = [...new Set(histories.flatMap(activitiesOf))];
  return { scenario, ending, exchanges, activities };
}

/** Outages last, so they begin only where an outside system is changed. */
const outages: Record<ServerName, readonly [Side, FaultName][]> = {
  temporal: [],
  kubernetes: [
    ['before', 'restart'],
    ['before', 'away'],
  ],
  postgres: [
    ['before', 'crash'],
    ['after', 'crash'],
    ['before', 'away'],
  ],
  pooler: [['before', 'away']],
  redis: [['before', 'away']],
  features: [['before', 'away']],
};

/**
 * Every fault at both sides of every request that may change something. One that only reads is the
 * same on both sides, and to be killed there is to be killed before the next that does not; of those
 * that are sent again and again until an answer pleases, the first stands for all.
 */
export function casesOf(peace: Peace): Case[] {
  return peace.exchanges.flatMap(({ changes, ...exchange }) => {
    const { server, nth } = exchange;
    const at = (side: Side, ...names: FaultName[]): Case[] =>
      names.map((fault) => ({ peace, fault, point: { ...exchange, side } }));
    const isRepeated = nth > 1 && server !== 'temporal' && server !== 'kubernetes';
    if (!changes) return isRepeated ? [] : at('before', 'cut');
    return [
      ...at('before', 'kill', 'cut', 'zombie'),
      ...at('after', 'kill', 'cut', 'zombie'),
      ...outages[server].flatMap(([side, fault]) => at(side, fault)),
    ];
  });
}

export function nameOf({ peace, fault, point }: Case): string {
  const { side, server, what, nth } = point;
  return `${peace.scenario.name}: ${fault} ${side} ${server} ${what} #${nth}`;
}

/** Plays one case and compares its end with the one in peace. */
export async function tryCase(one: Case, lane: Lane): Promise<Verdict> {
  const { peace, fault: name, point } = one;
  const fault: Fault = faults[name](point);
  const began = Date.now();
  const verdict = (difference?: string): Verdict => ({
    ...{ name: nameOf(one), isReached: fault.isReached },
    ...{ seconds: (Date.now() - began) / 1000, ...(difference ? { difference } : {}) },
  });
  try {
    const { message, ...ending } = await lane.play(peace.scenario, fault);
    const { message: _, ...expected } = peace.ending;
    if (isDeepStrictEqual(ending, expected)) return verdict();
    return verdict(`${message}\n${differences(expected, ending).join('\n')}`);
  } catch (error) {
    return verdict((error as Error).message);
  }
}

/** What is not the same in two plain values, each with where it stands. */
function differences(expected: unknown, found: unknown, path = ''): string[] {
  if (isDeepStrictEqual(expected, found)) return [];
  if (isObject(expected) && isObject(found)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(found)]);
    return [...keys].flatMap((key) => differences(expected[key], found[key], `${path}.${key}`));
  }
  return [`  ${path}: ${JSON.stringify(expected)} in peace, now ${JSON.stringify(found)}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function activitiesOf(played: PlayedHistory): string[] {
  const names = (played.history.events ?? []).flatMap((event) => {
    const marker = event.markerRecordedEventAttributes?.details?.data?.payloads?.[0]?.data;
    const local = marker && (JSON.parse(Buffer.from(marker).toString()) as LocalActivity);
    const scheduled = event.activityTaskScheduledEventAttributes?.activityType?.name;
    return scheduled ?? local?.activity_type ?? [];
  });
  return [...new Set(names)];
}

/** What Temporal's core notes about an activity that was done within a workflow task. */
interface LocalActivity {
  activity_type?: string;
}
