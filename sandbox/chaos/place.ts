import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { execa } from 'execa';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type RunIdentity, targetKey, type TargetKind } from '../../src/contract/plan.ts';
import type { Phase, RunStatus } from '../../src/contract/run.ts';
import { searchAttributes } from '../../src/contract/search-attributes.ts';
import type { FakeOwner } from './fake-owner.ts';
import type { Addresses } from './wires.ts';

const lookEveryMs = 50;
const startAttempts = 20;

/** Where one run of a scenario happens: a namespace of its own, and what people have to act with. */
export class Place {
  readonly namespace: string;
  /** The run's; another one where it was resumed as a new run. */
  workflowId: string;
  readonly client: Client;
  /** Address of a server whose /green is healthy and whose /red is not, and which tells an error rate of 50 %. */
  readonly health: string;
  /** Servers as people reach them, and as the worker does, through the wires. */
  readonly servers: Addresses;
  readonly wired: Addresses;
  /** Who holds the target before the run does. */
  owner: FakeOwner | undefined;
  private readonly variables: Record<string, string>;
  private readonly isOver: AbortSignal;

  constructor(
    about: Pick<Place, 'namespace' | 'client' | 'health' | 'servers' | 'wired'>,
    variables: Record<string, string>,
    isOver: AbortSignal,
  ) {
    this.namespace = about.namespace;
    this.workflowId = `run-${about.namespace}`;
    this.client = about.client;
    this.health = about.health;
    this.servers = about.servers;
    this.wired = about.wired;
    this.variables = { ...variables, ...about.servers };
    this.isOver = isOver;
  }

  /** stdout of kubectl in the namespace. */
  readonly kubectl = async (...args: string[]): Promise<string> => {
    const { stdout } = await execa('kubectl', ['-n', this.namespace, ...args]);
    return stdout;
  };

  /** Applies manifests, given as objects. */
  async apply(objects: object[]): Promise<void> {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    await execa('kubectl', ['-n', this.namespace, 'apply', '-f', '-'], { input });
  }

  /** An object, or all of a kind, as JSON. */
  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.kubectl('get', ...args, '-o', 'json')) as T;
  }

  /** Address of a database; `server` is that of another one of its server, which people reach so. */
  databaseUrl(name: string, server: string = this.servers.DATABASE_URL): string {
    const url = new URL(server);
    url.pathname = `/${name}`;
    return url.href;
  }

  /** Rows that the last of some statements answers. */
  async sql(database: string, text: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: this.databaseUrl(database) });
    client.on('error', () => undefined);
    await client.connect();
    try {
      const answered: unknown = await client.query(text);
      const last = Array.isArray(answered) ? (answered as unknown[]).at(-1) : answered;
      return (last as pg.QueryResult<Record<string, unknown>>).rows;
    } finally {
      await client.end();
    }
  }

  /** Names of the databases that are the place's own: of its name, or of that and more. */
  async databases(): Promise<string[]> {
    const rows = await this.sql(
      'postgres',
      `select datname from pg_database where datname ~ '^${this.namespace}(_|$)' order by 1`,
    );
    return rows.map(({ datname }) => String(datname));
  }

  /** A folder of its own, for dumps and scripts. */
  get folder(): string {
    const folder = join(tmpdir(), this.namespace);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** Waits until a Service has a ready endpoint. */
  async untilServed(service: string): Promise<void> {
    const selector = `kubernetes.io/service-name=${service}`;
    await this.look(async () => {
      const ready = 'jsonpath={.items[*].endpoints[*].conditions.ready}';
      return (await this.kubectl('get', 'endpointslices', '-l', selector, '-o', ready)) === 'true';
    });
  }

  /** Whether a run that is open holds the object of this UID: the lock of one that has ended is anybody's. */
  async isLocked(kind: TargetKind, name: string, uid: string): Promise<boolean> {
    const target = { kind, context: '', namespace: this.namespace, name, uid };
    try {
      const { workflow } = this.client;
      const lock = await workflow.getHandle(`lock:${targetKey(target)}`).describe();
      const { workflowId = '' } = (lock.memo?.owner ?? {}) as Partial<RunIdentity>;
      if (lock.status.name !== 'RUNNING') return false;
      return (await workflow.getHandle(workflowId).describe()).status.name === 'RUNNING';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  }

  /** stdout of the CLI, as a person runs it once. */
  async rollbackOnce(...args: string[]): Promise<string> {
    const { stdout } = await execa('rollback', args, { env: this.variables });
    return stdout;
  }

  /** Runs the CLI; that it fails is no matter. */
  async tryRollback(...args: string[]): Promise<boolean> {
    const { exitCode } = await execa('rollback', args, { env: this.variables, reject: false });
    return exitCode === 0;
  }

  /** Starts the run, as a person does who tries again where Temporal does not answer. */
  async start(args: string[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.rollbackOnce(...args, '--detach', '--id', this.workflowId);
        return;
      } catch (error) {
        if (attempt === startAttempts) throw error;
        await delay(lookEveryMs);
      }
    }
  }

  /**
   * Waits until the run is in this phase, and decides then as the person whose key is named; again
   * where that fails, until the run goes on.
   */
  async decideWhen(phase: Phase, decision: 'approve' | 'abort', person: string): Promise<void> {
    const key = `${process.env.ROLLBACK_KEYS}/${person}.jwk`;
    await this.until(phase);
    while (!this.isOver.aborted) {
      await this.tryRollback(decision, this.workflowId, '--key', key, '--yes');
      const now = await this.phase();
      if (now !== undefined && now !== phase) return;
    }
  }

  /** Waits until the run is in this phase. */
  private async until(phase: Phase): Promise<void> {
    await this.look(async () => (await this.phase()) === phase);
  }

  /** Waits until what the run says about itself begins so. */
  async untilMessage(start: string): Promise<void> {
    await this.look(async () => {
      const status = this.client.workflow.getHandle(this.workflowId).query<RunStatus>('status');
      return (await status).message.startsWith(start);
    });
  }

  /** The run's phase; undefined where the server does not answer. */
  private async phase(): Promise<string | undefined> {
    const described = await this.client.workflow
      .getHandle(this.workflowId)
      .describe()
      .catch(() => undefined);
    return described?.typedSearchAttributes.get(searchAttributes.phase);
  }

  /** Looks again and again until it is so, or all is over; a server that does not answer is asked again. */
  async look(isSo: () => Promise<boolean>): Promise<void> {
    for (;;) {
      if (this.isOver.aborted) return;
      try {
        if (await isSo()) return;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) throw error;
      }
      await delay(lookEveryMs);
    }
  }
}
