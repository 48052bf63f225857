/** Databases of a test on the sandbox's PostgreSQL, with dumps of them; dropped at the end. */
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { identifier } from '../../src/activities/postgres/database.ts';

export class TestDatabases {
  /** Where dumps go, as the settings name it. */
  readonly folder = mkdtempSync(join(tmpdir(), 'rollback-backups-'));
  private readonly server: string;
  private readonly mark = `t${randomBytes(3).toString('hex')}`;
  private readonly roles: string[] = [];

  /** @param server address of any database of the server; default: the sandbox's */
  constructor(server: string = process.env.DATABASE_URL ?? '') {
    this.server = server;
  }

  /** Name of a database of this file on the server. */
  nameOf(words: string): string {
    return `${this.mark} ${words}`;
  }

  /** Address of a database of this file, or of another of the server. */
  url(database: string, user = 'postgres'): string {
    const url = new URL(this.server);
    url.username = user;
    url.pathname = `/${encodeURIComponent(database)}`;
    return url.href;
  }

  async connect(database: string, user?: string): Promise<pg.Client> {
    const { hostname: host, port } = new URL(this.url(database));
    const client = new pg.Client({ host, port: Number(port), user: user ?? 'postgres', database });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** Runs statements, and answers the rows of the last one. */
  async sql<Row extends pg.QueryResultRow>(database: string, text: string): Promise<Row[]> {
    const client = await this.connect(database);
    try {
      const answered = (await client.query<Row>(text)) as
        pg.QueryResult<Row> | pg.QueryResult<Row>[];
      return (Array.isArray(answered) ? answered.at(-1) : answered)?.rows ?? [];
    } finally {
      await client.end();
    }
  }

  /** A new database of this name, with `rows` orders in it. */
  async create(database: string, rows = 10): Promise<void> {
    await this.sql('postgres', `create database ${identifier(database)}`);
    await this.sql(
      database,
      `create table orders (id int primary key, body text not null, created_at timestamptz default now());
       insert into orders select g, 'secret ' || g from generate_series(1, ${rows}) g`,
    );
  }

  /** Name of a role of this file on the server. */
  roleName(name: string): string {
    return `${this.mark}_${name}`;
  }

  async role(name: string, options: string): Promise<string> {
    const role = this.roleName(name);
    this.roles.push(role);
    await this.sql('postgres', `create role ${role} login ${options}`);
    return role;
  }

  /** Dumps a database as if at that time, and answers the name of the archive. */
  async dump(
    database: string,
    at: Date,
    format: 'custom' | 'directory' = 'custom',
  ): Promise<string> {
    const time = at.toISOString().replace(/\.\d+/, '').replaceAll(':', '-');
    const name = `${database}_${time}${format === 'custom' ? '.dump' : ''}`;
    const file = join(this.folder, name);
    await execa('pg_dump', [
      `--format=${format}`,
      `--file=${file}`,
      `--dbname=${this.url(database)}`,
    ]);
    return name;
  }

  /** Names of the server's databases that belong to this file. */
  async names(): Promise<string[]> {
    const rows = await this.sql<{ datname: string }>(
      'postgres',
      `select datname from pg_database where datname like '${this.mark}%' order by 1`,
    );
    return rows.map(({ datname }) => datname);
  }

  async orders(database: string): Promise<number> {
    const [row] = await this.sql<{ n: string }>(database, 'select count(*) as n from orders');
    return Number(row?.n);
  }

  async close(): Promise<void> {
    for (const { gid, database } of await this.sql<{ gid: string; database: string }>(
      'postgres',
      `select gid, database from pg_prepared_xacts where database like '${this.mark}%'`,
    )) {
      await this.sql(database, `rollback prepared '${gid}'`);
    }
    await this.sql(
      'postgres',
      `select pg_drop_replication_slot(slot_name) from pg_replication_slots where database like '${this.mark}%'`,
    );
    for (const name of await this.names()) {
      await this.sql('postgres', `drop database ${identifier(name)} with (force)`);
    }
    for (const role of this.roles) {
      await this.sql('postgres', `drop owned by ${role}; drop role ${role}`);
    }
  }
}
