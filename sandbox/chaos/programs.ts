/**
 * Random programs: what can happen to a run, and what people and intruders can do to it, in any
 * order and at any time, from a seed. There is no peace to compare with, so what must hold in every
 * case is checked instead.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { strategyAnnotation } from '../../src/activities/kubernetes/deployment/annotations.ts';
import { searchAttributes } from '../../src/contract/search-attributes.ts';
import { stuckAfterMs, type Disturbance, type Ending, type Lane } from './lane.ts';
import type { Verdict } from './matrix.ts';
import type { Place } from './place.ts';
import { randomNumbers } from './random.ts';
import type { Situation } from './scenario.ts';
import {
  deploymentWorld,
  type DeploymentWorld,
  deployBoth,
  images,
} from './scenarios/deployment.ts';
import type { Wire } from './wire.ts';

const name = 'web';
const acts = 6;
const betweenMs = 1500;
/** The run, and as many others as a program has acts that start one. */
const maxRuns = 1 + acts;

type Act = (lane: Lane, place: Place, random: () => number) => unknown;

/** What may happen, each with what it is called in the trail. */
const possible: Record<string, Act> = {
  'the worker is killed': (lane) => lane.replaceWorker('SIGKILL'),
  'the worker stops for a while': async (lane, _, random) => {
    const stopped = lane.replaceWorker('SIGSTOP');
    await delay(random() * 8000);
    stopped?.signal('SIGCONT');
  },
  'all connections break': ({ wires }) => {
    for (const wire of Object.values(wires)) wire.cut();
  },
  'Temporal is out of reach': ({ wires }, _, random) => away(wires.temporal, random),
  'Kubernetes is out of reach': ({ wires }, _, random) => away(wires.kubernetes, random),
  'Temporal is killed and comes back': ({ servers }, _, random) =>
    servers.restart('temporal', random() * 2000),
  'somebody cancels': (_, { client, workflowId }) => client.workflow.getHandle(workflowId).cancel(),
  'somebody terminates, and resumes': async (_, place) => {
    await place.client.workflow.getHandle(place.workflowId).terminate('by mistake');
    // A run that has gone back is not resumed: a new one begins.
    const id = await place.rollbackOnce('resume', place.workflowId, '--detach', '--json');
    place.workflowId = (JSON.parse(id) as { workflowId: string }).workflowId;
  },
  'somebody resets in the Temporal UI': async (_, { client, workflowId }, random) => {
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    const ends = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes);
    const workflowTaskFinishEventId = ends[Math.floor(random() * ends.length)]?.eventId;
    const workflowExecution = { workflowId };
    await client.workflowService.resetWorkflowExecution({
      ...{ namespace: 'default', workflowExecution, workflowTaskFinishEventId },
      ...{ requestId: randomUUID(), reason: 'chaos' },
    });
  },
  'somebody deploys another version': (_, { kubectl }) =>
    kubectl('set', 'image', `deployment/${name}`, `*=${images.other}`),
  'somebody starts a second run': (_, place) =>
    place.rollbackOnce('deployment', name, '-n', place.namespace, '--detach'),
  'an intruder forges decisions': async (_, { client, workflowId }) => {
    const handle = client.workflow.getHandle(workflowId);
    for (const signal of ['abort', 'skip', 'approve', 'retry']) {
      const about = { step: 'Wait for every replica', attempt: 1 };
      await handle.signal(signal, { decision: signal, token: 'e30.e30.e30', ...about });
    }
  },
  'the on-call aborts': (_, place) => place.rollbackOnce('abort', place.workflowId, '--yes'),
  'the on-call retries': (_, place) => place.rollbackOnce('retry', place.workflowId),
};

async function away(wire: Wire, random: () => number): Promise<void> {
  wire.refuse(true);
  await delay(random() * 5000);
  wire.refuse(false);
}

/** A rollback of some seconds, so that there is time for something to happen to it. */
const rolling: Situation = {
  settings: () => ({}),
  async prepare(place) {
    await deployBoth(place);
    const slow = JSON.stringify({ spec: { minReadySeconds: 2 } });
    await place.kubectl('patch', 'deployment', name, '--type=merge', '-p', slow);
    return ['deployment', name, '-n', place.namespace];
  },
  world: deploymentWorld,
};

/** Whoever waits for approvals is approved and whoever is paused is aborted, until no run is open and all pods are there. */
async function untilAllEnded(place: Place): Promise<void> {
  const giveUp = Date.now() + stuckAfterMs;
  for (;;) {
    const open: string[] = [];
    const query = 'ExecutionStatus="Running" AND RollbackProcedure="deployment"';
    for await (const run of place.client.workflow.list({ query })) {
      open.push(run.workflowId);
      const phase = run.typedSearchAttributes.get(searchAttributes.phase);
      // One that waits for approvals was reset: what it was started with counts no more.
      const answer =
        phase === 'paused' ? 'abort' : phase === 'awaiting-approval' ? 'approve' : undefined;
      if (answer) await place.tryRollback(answer, run.workflowId, '--yes');
    }
    // Lists are a moment behind: of the run itself the server knows at once.
    const { status } = await place.client.workflow.getHandle(place.workflowId).describe();
    if (open.length === 0 && status.name !== 'RUNNING') break;
    if (Date.now() > giveUp) throw new Error(`Still open: ${open.join(', ')}.`);
    await delay(200);
  }
  await place.kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
}

/** One random program, and what it did. */
class Program implements Disturbance {
  readonly trail: string[] = [];
  private readonly random: () => number;
  private going: Promise<void> = Promise.resolve();

  constructor(seed: number) {
    this.random = randomNumbers(seed);
  }

  begin(lane: Lane, place: Place): void {
    this.going = this.run(lane, place).then(() => untilAllEnded(place));
    // It is awaited at the end, unless the run is stuck.
    this.going.catch(() => undefined);
  }

  async end(): Promise<void> {
    await this.going;
  }

  get deploys(): number {
    return this.trail.filter((line) => line.includes('deploys') && !line.includes('vain')).length;
  }

  private async run(lane: Lane, place: Place): Promise<void> {
    const began = Date.now();
    const names = Object.keys(possible);
    for (let count = 0; count < acts; count++) {
      await delay(this.random() * betweenMs);
      const chosen = names[Math.floor(this.random() * names.length)] ?? '';
      const at = ((Date.now() - began) / 1000).toFixed(1);
      try {
        await possible[chosen]?.(lane, place, this.random);
        this.trail.push(`${at} s: ${chosen}`);
      } catch (error) {
        // Too early or too late for it: what must hold holds all the same.
        this.trail.push(`${at} s: ${chosen}, in vain: ${(error as Error).message.split('\n')[0]}`);
      }
    }
  }
}

/** Plays the program of a seed, and says what must not be. */
export async function tryProgram(lane: Lane, seed: number): Promise<Verdict> {
  const program = new Program(seed);
  const began = Date.now();
  const verdict = (wrong: string[]): Verdict => ({
    ...{ name: `random program ${seed}`, isReached: true, seconds: (Date.now() - began) / 1000 },
    ...(wrong.length > 0 ? { difference: [...wrong, ...program.trail].join('\n  ') } : {}),
  });
  try {
    return verdict(wrongWith(await lane.play(rolling, program), program.deploys));
  } catch (error) {
    return verdict([(error as Error).message]);
  }
}

/** What must hold however a run was hurt. */
function wrongWith({ outcome, decisions, message, world }: Ending, deploys: number): string[] {
  const { image, strategy, annotations, replicaSets, pods, isLocked } = world as DeploymentWorld;
  const usual = {
    type: 'RollingUpdate',
    rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' },
  };
  const newest = Math.max(...replicaSets.map(({ revision }) => Number(revision)));
  const must: [boolean, string][] = [
    [!isLocked, 'the target is still locked'],
    [isDeepStrictEqual(strategy, usual), `the strategy is ${JSON.stringify(strategy)}`],
    [!annotations.includes(strategyAnnotation), 'an earlier strategy is still kept'],
    [
      decisions.every((one) => !one.includes('not proved') || one.startsWith('retry')),
      `forged: ${decisions.join(', ')}`,
    ],
    [isDeepStrictEqual(pods, [image, image, image]), `the pods are ${pods.join(', ')}`],
    [
      outcome !== 'rolled-back' || deploys > 0 || image === images.good,
      `it was rolled back, and ${image} stands there`,
    ],
    [newest <= 2 + 2 * maxRuns + deploys, `the newest revision is ${newest}`],
  ];
  return must.flatMap(([holds, otherwise]) =>
    holds ? [] : [`${otherwise} (${outcome}: ${message})`],
  );
}
