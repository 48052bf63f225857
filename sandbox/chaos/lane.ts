/**
 * One lane of chaos: a Temporal server of its own, a PostgreSQL where that is needed, and a worker behind
 * wires through which all that it says to servers goes. Lanes share a cluster, a cache and its service.
 */
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { resultOf } from '../../src/client/run-status.ts';
import type { Outcome, RunResult, StepState } from '../../src/contract/run.ts';
import { WorkerProcess } from '../worker-process.ts';
import { Place } from './place.ts';
import type { Situation, Witness } from './scenario.ts';
import { LaneServers } from './servers.ts';
import { addressesThrough, openWires, type Wires, writeKubeconfig } from './wires.ts';

/** A run that has not ended by then is stuck. */
export const stuckAfterMs = 120_000;
/** What controllers still do when the run has ended. */
const settlesWithinMs = 10_000;

/** How a run ended, without what differs from run to run. */
export interface Ending {
  outcome: Outcome;
  steps: { title: string; state: StepState }[];
  gaps: string[];
  /** What counted, and whose it was. */
  decisions: string[];
  world: unknown;
  /** In words, with names that do differ. */
  message: string;
}

/** What is done to a run: told when it is about to begin and when it has ended. */
export interface Disturbance {
  begin(lane: Lane, place: Place): void;
  /** Undoes what would outlast the run, and waits for what it delayed. */
  end?(lane: Lane): void | Promise<void>;
  /** Why it could not do what it was to do. */
  readonly trouble?: Error;
}

export class Lane {
  readonly servers: LaneServers;
  readonly wires: Wires;
  readonly client: Client;
  /** The workers that were started for the run, the newest last. */
  readonly workers: WorkerProcess[] = [];
  /** Of the run that was played last. */
  lastHistory!: PlayedHistory;
  /** Of the workflows that it started, which may go on. */
  lastChildren: PlayedHistory[] = [];
  private readonly health: Server;
  private variables: Record<string, string> = {};

  private constructor(servers: LaneServers, wires: Wires, client: Client, health: Server) {
    this.servers = servers;
    this.wires = wires;
    this.client = client;
    this.health = health;
  }

  /** Opens a lane on the cluster, the cache and the service that the environment names. */
  static async open(): Promise<Lane> {
    const servers = await LaneServers.start();
    try {
      const { TEMPORAL_ADDRESS: address } = servers.addresses;
      const connection = await Connection.connect({ address });
      const health = createServer((request, response) => {
        response.writeHead(request.url === '/red' ? 500 : 200).end('{"error_rate":0.5}');
      });
      health.listen(0, '127.0.0.1');
      await once(health, 'listening');
      const wires = await openWires(servers.addresses);
      return new Lane(servers, wires, new Client({ connection }), health);
    } catch (error) {
      await servers.stop();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const wire of Object.values(this.wires)) wire.close();
    this.health.close();
    await this.client.connection.close();
    await this.servers.stop();
  }

  /** Sends a signal that ends or stops the worker, and starts another at once; answers the first. */
  replaceWorker(signal: 'SIGKILL' | 'SIGSTOP'): WorkerProcess | undefined {
    const replaced = this.workers.at(-1);
    replaced?.signal(signal);
    this.workers.push(new WorkerProcess(this.variables));
    return replaced;
  }

  /** Plays a scenario in a namespace of its own, and answers how it ended. */
  async play(scenario: Situation, disturbance?: Disturbance): Promise<Ending> {
    const namespace = `chaos-${randomBytes(4).toString('hex')}`;
    const over = new AbortController();
    const { port } = this.health.address() as AddressInfo;
    const health = `http://127.0.0.1:${port}`;
    const { client } = this;
    const { dir, addresses: servers } = this.servers;
    if (scenario.hasDatabase) await this.servers.startDatabase();
    let witness: Witness | undefined;
    await execa('kubectl', ['create', 'namespace', namespace]);
    try {
      const [config, kubeconfig] = [join(dir, `${namespace}.yaml`), join(dir, 'kubeconfig')];
      const own = { TEMPORAL_NAMESPACE: 'default', ROLLBACK_CONFIG: config };
      const wired = addressesThrough(this.wires, servers);
      const place = new Place({ namespace, client, health, servers, wired }, own, over.signal);
      writeFileSync(config, stringify(this.settings(scenario, place)));
      writeKubeconfig(kubeconfig, this.wires.kubernetes);
      // By the sandbox the end of the lane finds those that it has lost sight of.
      this.variables = { ...own, ...wired, ROLLBACK_SANDBOX: dir, KUBECONFIG: kubeconfig };
      const worker = new WorkerProcess(this.variables);
      this.workers.push(worker);
      const [start] = await Promise.all([scenario.prepare(place), worker.ready]);
      witness = scenario.witness?.(place);
      disturbance?.begin(this, place);
      await place.start(start);
      const people = scenario.people?.(place);
      // It is awaited below, unless the run is stuck.
      people?.catch(() => undefined);
      const result = await this.result(place, disturbance).finally(() => over.abort());
      await people;
      await disturbance?.end?.(this);
      const wrong = (await witness?.end()) ?? [];
      if (wrong.length > 0) throw new Error(`Seen from outside: ${wrong.join('; ')}.`);
      this.lastHistory = await this.history(place.workflowId);
      this.lastChildren = await this.childrenOf(this.lastHistory);
      return await this.ending(scenario, place, result);
    } finally {
      over.abort();
      await witness?.end().catch(() => undefined);
      for (const wire of Object.values(this.wires)) {
        wire.observe();
        wire.refuse(false);
      }
      await this.endWorkers();
      await execa('kubectl', ['delete', 'namespace', '--wait=false', namespace]);
    }
  }

  private async endWorkers(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.end('SIGKILL')));
  }

  private settings(scenario: Situation, place: Place): object {
    const own = scenario.settings(place) as { authority?: object };
    return {
      ...own,
      kubernetes: { namespace: place.namespace },
      authority: { people: process.env.ROLLBACK_PEOPLE, ...own.authority },
      worker: { key: process.env.ROLLBACK_WORKER_KEY, logLevel: 'info' },
    };
  }

  /** Waits for the end of the run; one that was ended from outside is going to be resumed. */
  private async result(place: Place, disturbance?: Disturbance): Promise<RunResult> {
    const giveUp = Date.now() + stuckAfterMs;
    for (;;) {
      const handle = this.client.workflow.getHandle(place.workflowId);
      try {
        return await this.client.withDeadline(giveUp, () => resultOf(handle));
      } catch (error) {
        if (Date.now() > giveUp) {
          const log = this.workers.flatMap(({ lines }) => lines.slice(-20)).join('\n');
          const trouble =
            disturbance?.trouble === undefined ? '' : ` ${disturbance.trouble.message}`;
          const said = `Run ${place.workflowId} is stuck.${trouble} Its workers say:\n${log}`;
          throw new Error(said, { cause: error });
        }
        await delay(200);
      }
    }
  }

  /** Histories of all runs here, of what resets have cut off as well. */
  async histories(): Promise<PlayedHistory[]> {
    const found: PlayedHistory[] = [];
    for await (const run of this.client.workflow.list({ query: 'RollbackProcedure IS NOT NULL' })) {
      found.push(await this.history(run.workflowId, run.runId));
    }
    return found;
  }

  private childrenOf({ history }: PlayedHistory): Promise<PlayedHistory[]> {
    const started = (history.events ?? []).flatMap(
      (event) => event.childWorkflowExecutionStartedEventAttributes?.workflowExecution ?? [],
    );
    return Promise.all(
      started.map(({ workflowId, runId }) => this.history(workflowId ?? '', runId ?? undefined)),
    );
  }

  private async history(workflowId: string, runId?: string): Promise<PlayedHistory> {
    const handle = this.client.workflow.getHandle(workflowId, runId);
    return { workflowId, history: await handle.fetchHistory() };
  }

  /** Waits until what controllers do has come to rest. */
  private async ending(scenario: Situation, place: Place, result: RunResult): Promise<Ending> {
    const { outcome, steps, gaps, authority, message } = result;
    const counted = (authority?.decisions ?? []).filter((one) => one.counted);
    const giveUp = Date.now() + settlesWithinMs;
    let world = await scenario.world(place);
    for (;;) {
      await delay(300);
      const next = await scenario.world(place);
      if (JSON.stringify(next) === JSON.stringify(world) || Date.now() > giveUp) break;
      world = next;
    }
    const told = steps.map(({ title, state }) => ({
      // Processes of a database have numbers.
      title: title.replaceAll(place.namespace, 'NAMESPACE').replace(/^(End session) \d+$/, '$1'),
      state,
    }));
    if (scenario.sideBySide) told.sort((one, other) => one.title.localeCompare(other.title));
    return {
      ...{ outcome, world, message },
      gaps: gaps.map((text) => text.replaceAll(place.namespace, 'NAMESPACE')),
      decisions: counted.map(({ decision, by }) => `${decision} by ${by}`),
      steps: told,
    };
  }
}

/** A run's history, as a replay takes it. */
export interface PlayedHistory {
  workflowId: string;
  history: Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
}
