/** A database of the settings: how it is reached, and what a plan calls it. */
import { ApplicationFailure } from '@temporalio/common';
import pg from 'pg';
import type { DatabaseSettings } from '../../config/databases.ts';
import type { Settings } from '../../config/schema.ts';
import type { Target } from '../../contract/plan.ts';
import { refused, stale } from '../failures.ts';
import { connectionOf, programAddress } from './address.ts';
import { DatabaseUnreachable, isAway } from './errors.ts';

export { identifier } from '../../contract/printable.ts';

/** What our own sessions call themselves, so that no run takes them for anybody else's. */
export const applicationName = 'rollback-workflows';
const connectWithinMs = 5000;
const keepAliveMs = 5000;
/** For statements that only read: a plan must not hang behind a lock. */
const readWithinMs = 15_000;

export interface SessionOptions {
  /** Database of the server to connect to; default: the one that the settings name. */
  database?: string;
  /** Longest time of one statement in milliseconds; 0 for no limit. */
  statementMs?: number;
  /** How long an answer may take to arrive; for statements during which others wait. */
  answerMs?: number;
}

export class Database {
  /** Its name in the settings. */
  readonly key: string;
  readonly settings: DatabaseSettings;
  /** Its name on the server. */
  readonly name: string;
  /** `host:port` */
  readonly address: string;
  private readonly config: pg.ClientConfig;

  /** @throws Refused where the settings do not have it, or name none and have several. */
  constructor({ databases }: Settings, wanted?: string) {
    const known = Object.keys(databases);
    const key = wanted ?? (known.length === 1 ? known[0] : undefined);
    const settings =
      key !== undefined && Object.hasOwn(databases, key) ? databases[key] : undefined;
    if (key === undefined || settings === undefined) {
      const has = known.length === 0 ? 'have none' : `have ${known.join(', ')}`;
      throw refused(
        wanted === undefined
          ? `No database is named, and the settings ${has}: name one, and add it to databases in the settings where it is missing.`
          : `There is no database ${wanted} in the settings: they ${has}.`,
      );
    }
    this.key = key;
    this.settings = settings;
    this.config = connectionOf(settings.url);
    const { host, port } = new pg.Client(this.config);
    // Its own parser leaves some characters of the name encoded.
    const [, name = ''] = new URL(settings.url).pathname.split('/');
    this.name = name === '' ? key : decodeURIComponent(name);
    this.address = `${host}:${port}`;
    if (settings.maintenance === this.name) {
      throw refused(
        `Database ${key} is its own maintenance database: name another of the server as databases.${key}.maintenance.`,
      );
    }
  }

  /** Runs `work` with a session of its own, and ends that. */
  async session<T>(
    work: (client: pg.Client) => Promise<T>,
    { database = this.name, statementMs = readWithinMs, answerMs }: SessionOptions = {},
  ): Promise<T> {
    const client = await this.connect({ database, statementMs, answerMs });
    try {
      return await work(client);
    } catch (error) {
      throw this.explained(error);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  private async connect({
    database,
    statementMs = 0,
    answerMs,
  }: SessionOptions): Promise<pg.Client> {
    const client = new pg.Client({
      ...this.config,
      database,
      connectionTimeoutMillis: connectWithinMs,
      application_name: applicationName,
      ...(answerMs === undefined ? {} : { query_timeout: answerMs }),
      // A dead network is noticed within a minute, and not within hours.
      ...{ keepAlive: true, keepAliveInitialDelayMillis: keepAliveMs },
    });
    // A session that breaks between two statements is told by the next one, and must not end the worker.
    client.on('error', () => undefined);
    try {
      await client.connect();
      // Told to the server in any case: a role may have a limit of its own.
      await client.query(`set statement_timeout = ${statementMs}`);
      return client;
    } catch (error) {
      throw this.explained(error);
    }
  }

  /**
   * How programs of PostgreSQL reach a database of the server: an address for their arguments, which
   * everybody on the machine sees, and the password for their environment.
   */
  forPrograms(database: string): { address: string; env: Record<string, string> } {
    const { url, env } = programAddress(this.settings.url);
    url.pathname = `/${encodeURIComponent(database)}`;
    return {
      address: url.href,
      env: {
        PGAPPNAME: applicationName,
        PGCONNECT_TIMEOUT: String(connectWithinMs / 1000),
        ...env,
      },
    };
  }

  /** The database as a target of a plan. */
  async target(client: pg.Client): Promise<Target> {
    const { rows } = await client.query<{ id: string }>(
      'select system_identifier::text as id from pg_control_system()',
    );
    return {
      ...{ kind: 'database', context: this.address, namespace: this.key, name: this.name },
      uid: rows[0]?.id ?? '',
    };
  }

  /**
   * Makes sure that the address still leads to the server that the plan was made for.
   * @throws PlanStale
   */
  async assertIs(client: pg.Client, { name, uid, context }: Target): Promise<void> {
    const found = await this.target(client);
    // A clone of the server's files has its identity, so that the address counts as well.
    if (found.name === name && found.uid === uid && found.context === context) return;
    throw stale(
      `The settings' database ${this.key} is another one now (${found.name} on ${this.address}) than the plan was made for: nothing was changed; start again.`,
    );
  }

  /** Whether it was a lost or refused connection that threw. */
  private explained(error: unknown): unknown {
    if (error instanceof ApplicationFailure) return error;
    const { code = '', message = '' } = error as Partial<NodeJS.ErrnoException>;
    if (error instanceof pg.DatabaseError) return isAway(error) ? this.away(message) : error;
    const isNetwork = /^(E[A-Z]+|CERT_|DEPTH_|SELF_SIGNED|UNABLE_)/.test(code);
    const isLost =
      /^(Connection terminated|timeout expired|Query read timeout|Client has encountered)/.test(
        message,
      );
    // A name with several addresses, none of which answers, has a code and no message.
    return isNetwork || isLost ? this.away(message || code) : error;
  }

  private away(message: string): DatabaseUnreachable {
    return new DatabaseUnreachable(`PostgreSQL at ${this.address} does not answer: ${message}.`);
  }
}

/** A text as a literal of SQL, for statements that take no parameters. */
export function literal(text: string): string {
  return pg.escapeLiteral(text);
}
