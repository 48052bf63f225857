/** Databases: their data, their schema and long transactions, disturbed. */
import { execa } from 'execa';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { recoveryFolders, takeBaseBackup } from '../../base-backup.ts';
import { consumerManifest } from '../../kubernetes/manifests.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const web = 'web';

function url(database: string): string {
  const address = new URL(process.env.DATABASE_URL ?? '');
  address.pathname = `/${database}`;
  return address.href;
}

/** A folder of the place's own, for dumps and scripts. */
function folderOf({ namespace }: Place): string {
  const folder = join(tmpdir(), namespace);
  mkdirSync(folder, { recursive: true });
  return folder;
}

async function sql(database: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url(database) });
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

/** Databases of the place, without the times in their names; what is in each, and what runs have noted. */
async function databasesWorld({ namespace }: Place): Promise<unknown> {
  const found = await sql(
    'postgres',
    `select datname as name, shobj_description(oid, 'pg_database') as note
     from pg_database where datname = '${namespace}' or datname like '${namespace}\\_%' order by 1`,
  );
  return Promise.all(
    found.map(async ({ name, note }) => ({
      name: String(name)
        .slice(namespace.length)
        .replace(/\d{8}T\d{6}Z/, 'TIME'),
      state: /"state":"(\w+)"/.exec(String(note))?.[1],
      orders: (await sql(String(name), 'select count(*) from orders'))[0]?.count,
    })),
  );
}

function database(
  about: Partial<Scenario> & Pick<Scenario, 'name'>,
  { check = 'green', is = 10, flags = [] }: { check?: string; is?: number; flags?: string[] } = {},
): Scenario {
  return {
    settings: (place) => ({
      services: {
        [web]: {
          ...{ namespace: place.namespace, deployment: web },
          checks: { health: { url: `${place.health}/${check}`, retries: 0 } },
        },
      },
      databases: {
        shop: {
          url: url(place.namespace),
          backups: { folder: folderOf(place), jobs: 2 },
          verify: [{ query: 'select count(*) from orders', is }],
          services: [web],
        },
      },
    }),
    async prepare(place) {
      const { namespace } = place;
      if (flags.includes('--stop-first')) {
        await place.apply([
          { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: web } },
          consumerManifest(web, web),
        ]);
        await place.kubectl('rollout', 'status', `deployment/${web}`, '--timeout=60s');
      }
      await sql('postgres', `create database "${namespace}"`);
      await sql(
        namespace,
        'create table orders (id int primary key); insert into orders select generate_series(1, 10)',
      );
      const file = join(folderOf(place), `${namespace}_2025-01-10T14-30-00Z.dump`);
      await execa('pg_dump', ['--format=custom', `--file=${file}`, `--dbname=${url(namespace)}`]);
      await sql(namespace, 'delete from orders where id > 3');
      return ['database', 'shop', '--to', '2025-01-10T15:00:00Z', ...flags];
    },
    outcome: 'rolled-back',
    people: (place) => place.decideWhen('awaiting-approval', 'approve', 'team-lead'),
    world: databasesWorld,
    ...about,
  };
}

/** As above, and to an instant that no dump is of. */
function recovered(name: string): Scenario {
  const scratchOf = (place: Place) => {
    const folder = join(folderOf(place), 'scratch');
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  const foldersOf = (place: Place) => ({
    base: recoveryFolders(folderOf(place)).base,
    // All places are on one server, which has one archive.
    wal: recoveryFolders(process.env.BACKUP_DIR ?? '').wal,
  });
  return {
    name,
    settings: (place) => ({
      databases: {
        shop: {
          url: url(place.namespace),
          backups: { jobs: 2, recovery: { ...foldersOf(place), scratch: scratchOf(place) } },
          verify: [{ query: 'select count(*) from orders', is: 11 }],
        },
      },
    }),
    async prepare(place) {
      const { namespace } = place;
      await sql('postgres', `create database "${namespace}"`);
      await sql(
        namespace,
        'create table orders (id int primary key); insert into orders select generate_series(1, 10)',
      );
      await takeBaseBackup(url('postgres'), foldersOf(place));
      await sql(namespace, 'insert into orders values (11)');
      const [row] = await sql(
        'postgres',
        `select date_trunc('milliseconds', clock_timestamp()) + interval '1 ms' as now from pg_sleep(0.005)`,
      );
      await sql('postgres', 'select pg_sleep(0.01)');
      await sql(namespace, 'delete from orders where id > 3');
      return ['database', 'shop', '--to', (row?.now as Date).toISOString()];
    },
    outcome: 'rolled-back',
    people: (place) => place.decideWhen('awaiting-approval', 'approve', 'team-lead'),
    async world(place) {
      const left = () => readdirSync(scratchOf(place));
      // What is beside a killed worker has to notice that.
      for (let tries = 0; tries < 50 && left().length > 0; tries++) await setTimeout(200);
      return { left: left(), databases: await databasesWorld(place) };
    },
  };
}

const approvedThenAborted = async (place: Place) => {
  await place.decideWhen('awaiting-approval', 'approve', 'team-lead');
  await place.decideWhen('paused', 'abort', 'team-lead');
};

/** Version 3 and 2 are taken back; the script for 2 may be broken. */
function schema(about: Partial<Scenario> & Pick<Scenario, 'name'>, second: string): Scenario {
  return {
    settings: (place) => ({
      databases: { shop: { url: url(place.namespace), schema: { folder: folderOf(place) } } },
    }),
    async prepare(place) {
      const scripts = {
        'rollback_to_v2.sql': 'alter table orders drop column three',
        'rollback_to_v1.sql': second,
        'migrate_to_v3.sql': 'alter table orders add three int',
      };
      for (const [file, text] of Object.entries(scripts)) {
        writeFileSync(join(folderOf(place), file), text);
      }
      await sql('postgres', `create database "${place.namespace}"`);
      await sql(
        place.namespace,
        `create table orders (id int, two int, three int);
         create table schema_migrations (version int primary key);
         insert into schema_migrations values (1), (2), (3)`,
      );
      return ['schema', 'shop', '--to', '1', '--on-failure', 'compensate'];
    },
    outcome: 'rolled-back',
    people: (place) => place.decideWhen('awaiting-approval', 'approve', 'team-lead'),
    async world({ namespace }) {
      const columns = await sql(
        namespace,
        `select column_name as c from information_schema.columns where table_name = 'orders' order by 1`,
      );
      const versions = await sql(namespace, 'select version from schema_migrations order by 1');
      return { columns, versions };
    },
    ...about,
  };
}

export const databasesScenarios: readonly Scenario[] = [
  database({ name: 'database is restored and swapped' }),
  database(
    { name: 'database is restored while its services stand still' },
    { flags: ['--stop-first'] },
  ),
  recovered('database is recovered to the second'),
  database(
    { name: 'database is swapped back', outcome: 'aborted', people: approvedThenAborted },
    { check: 'red', flags: ['--on-failure', 'compensate'] },
  ),
  database(
    {
      name: 'copy of a database is wrong and goes',
      outcome: 'aborted',
      people: approvedThenAborted,
    },
    { is: 11 },
  ),
  schema({ name: 'schema goes two versions down' }, 'alter table orders drop column two'),
  schema(
    { name: 'schema is put on again', outcome: 'aborted', people: approvedThenAborted },
    'alter table nothing drop x',
  ),
  {
    name: 'transactions are ended',
    settings: ({ namespace }) => ({ databases: { shop: { url: url(namespace) } } }),
    async prepare({ namespace }) {
      await sql('postgres', `create database "${namespace}"`);
      const client = new pg.Client({ connectionString: url(namespace) });
      client.on('error', () => undefined);
      await client.connect();
      await client.query('begin');
      await client.query('create table held (id int)');
      return ['transactions', 'shop', '--older-than', '1ms', '--end-after', '1ms'];
    },
    outcome: 'rolled-back',
    world: async ({ namespace }) =>
      sql(
        'postgres',
        `select count(*) from pg_stat_activity where datname = '${namespace}' and backend_type = 'client backend'`,
      ),
  },
];
