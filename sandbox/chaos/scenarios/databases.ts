/** The data of databases, restored, swapped and swapped back, disturbed. */
import { execa } from 'execa';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { recoveryFolders, takeBaseBackup } from '../../base-backup.ts';
import { consumerManifest } from '../../kubernetes/manifests.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';
import { watchLiveDatabase } from '../live-database.ts';
import { PgBouncer } from '../../pgbouncer.ts';

const web = 'web';

const wiredUrl = (place: Place) => place.databaseUrl(place.namespace, place.wired.DATABASE_URL);

/** Databases of the place, without the times in their names; what is in each, and what runs have noted. */
async function databasesWorld(place: Place): Promise<unknown> {
  const names = await place.databases();
  return Promise.all(
    names.map(async (name) => {
      const [row] = await place.sql(
        name,
        `select shobj_description(oid, 'pg_database') as note,
           (select count(*) from orders where id < 1000) as orders
         from pg_database where datname = current_database()`,
      );
      return {
        name: name.slice(place.namespace.length).replace(/\d{8}T\d{6}Z/, 'TIME'),
        state: /"state":"(\w+)"/.exec(String(row?.note))?.[1],
        orders: row?.orders,
      };
    }),
  );
}

/** What the live database has before and after. */
const [before, after] = [
  [1, 2, 3],
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
];

interface Options {
  check?: 'green' | 'red';
  is?: number;
  flags?: string[];
  /** Whether a PgBouncer is before it. */
  pooled?: boolean;
}

function database(
  about: Partial<Scenario> & Pick<Scenario, 'name'>,
  { check = 'green', is = 10, flags = [], pooled = false }: Options = {},
): Scenario {
  return {
    hasDatabase: true,
    witness: (place) => watchLiveDatabase(place, [before, after], { pooled }),
    settings: (place) => ({
      services: {
        [web]: {
          ...{ namespace: place.namespace, deployment: web },
          checks: { health: { url: `${place.health}/${check}`, retries: 0 } },
        },
      },
      databases: {
        shop: {
          url: wiredUrl(place),
          backups: { folder: place.folder, jobs: 2 },
          verify: [{ query: 'select count(*) from orders', is }],
          ...(pooled ? { pooler: { url: place.wired.PGBOUNCER_URL, pauseWithin: '1s' } } : {}),
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
      await place.sql('postgres', `create database "${namespace}"`);
      await place.sql(
        namespace,
        'create table orders (id int primary key); insert into orders select generate_series(1, 10)',
      );
      const file = join(place.folder, `${namespace}_2025-01-10T14-30-00Z.dump`);
      await execa('pg_dump', [
        '--format=custom',
        `--file=${file}`,
        `--dbname=${place.databaseUrl(namespace)}`,
      ]);
      await place.sql(namespace, 'delete from orders where id > 3');
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
    const folder = join(place.folder, 'scratch');
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  const foldersOf = (place: Place) => ({
    base: recoveryFolders(place.folder).base,
    // All places of a lane are on one server, which has one archive.
    wal: recoveryFolders(place.servers.BACKUP_DIR).wal,
  });
  return {
    name,
    hasDatabase: true,
    witness: (place) => watchLiveDatabase(place, [before, [...after, 11]]),
    settings: (place) => ({
      databases: {
        shop: {
          url: wiredUrl(place),
          backups: { jobs: 2, recovery: { ...foldersOf(place), scratch: scratchOf(place) } },
          verify: [{ query: 'select count(*) from orders', is: 11 }],
        },
      },
    }),
    async prepare(place) {
      const { namespace } = place;
      await place.sql('postgres', `create database "${namespace}"`);
      await place.sql(
        namespace,
        'create table orders (id int primary key); insert into orders select generate_series(1, 10)',
      );
      await takeBaseBackup(place.databaseUrl('postgres'), foldersOf(place));
      await place.sql(namespace, 'insert into orders values (11)');
      const [row] = await place.sql(
        'postgres',
        `select date_trunc('milliseconds', clock_timestamp()) + interval '1 ms' as now from pg_sleep(0.005)`,
      );
      await place.sql('postgres', 'select pg_sleep(0.01)');
      await place.sql(namespace, 'delete from orders where id > 3');
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

/** As the first, and what it has put aside is then asked back. */
function undone(name: string): Scenario {
  const first = database({ name });
  return {
    ...first,
    async prepare(place) {
      const { workflowId } = place;
      place.workflowId = `first-${workflowId}`;
      await place.start(await first.prepare(place));
      await first.people?.(place);
      await place.rollbackOnce('watch', place.workflowId);
      const args = ['database', 'shop', '--undo', place.workflowId];
      place.workflowId = workflowId;
      return args;
    },
  };
}

export const databasesScenarios: readonly Scenario[] = [
  database({ name: 'database is restored and swapped' }),
  undone('database is asked back by the id of its run'),
  // Not everywhere is there one.
  ...(PgBouncer.isThere
    ? [database({ name: 'database behind a pooler is swapped' }, { pooled: true })]
    : []),
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
      name: 'database is swapped back while its services stand still',
      outcome: 'aborted',
      people: approvedThenAborted,
    },
    { check: 'red', flags: ['--on-failure', 'compensate', '--stop-first'] },
  ),
  database(
    {
      name: 'copy of a database is wrong and goes',
      outcome: 'aborted',
      people: approvedThenAborted,
    },
    { is: 11 },
  ),
];
