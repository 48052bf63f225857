/** A schema that goes back, and long transactions that are ended, disturbed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Place } from '../place.ts';
import type { Scenario, Witness } from '../scenario.ts';
import { DatabaseWitness } from '../witness.ts';

/** No script here takes long, and whoever waits for a lock waits 2 s for it. */
const usableWithinMs = 3000;

const wiredUrl = (place: Place) => place.databaseUrl(place.namespace, place.wired.DATABASE_URL);

/** Version 3 and 2 are taken back; the script for 2 may be broken. */
function schema(about: Partial<Scenario> & Pick<Scenario, 'name'>, second: string): Scenario {
  return {
    hasDatabase: true,
    settings: (place) => ({
      databases: { shop: { url: wiredUrl(place), schema: { folder: place.folder } } },
    }),
    async prepare(place) {
      const scripts = {
        'rollback_to_v2.sql': 'alter table orders drop column three',
        'rollback_to_v1.sql': second,
        'migrate_to_v3.sql': 'alter table orders add three int',
      };
      for (const [file, text] of Object.entries(scripts)) {
        writeFileSync(join(place.folder, file), text);
      }
      await place.sql('postgres', `create database "${place.namespace}"`);
      await place.sql(
        place.namespace,
        `create table orders (id int, two int, three int);
         create table schema_migrations (version int primary key);
         insert into schema_migrations values (1), (2), (3)`,
      );
      return ['schema', 'shop', '--to', '1', '--on-failure', 'compensate'];
    },
    witness: watchSchema,
    outcome: 'rolled-back',
    people: (place) => place.decideWhen('awaiting-approval', 'approve', 'team-lead'),
    async world(place) {
      const columns = await place.sql(
        place.namespace,
        `select column_name as c from information_schema.columns where table_name = 'orders' order by 1`,
      );
      const versions = await place.sql(
        place.namespace,
        'select version from schema_migrations order by 1',
      );
      return { columns, versions };
    },
    ...about,
  };
}

/** The version is at any time that of the columns that are there, and the table can be read. */
function watchSchema(place: Place): Witness {
  const witness = new DatabaseWitness(place.databaseUrl(place.namespace), async (client) => {
    const { rows } = await client.query<{ version: number; columns: number }>(
      `select (select max(version) from schema_migrations) as version,
         (select count(*)::int from pg_attribute
          where attrelid = 'orders'::regclass and attnum > 0 and not attisdropped) as columns`,
    );
    const { version, columns } = rows[0] ?? {};
    return version === columns ? undefined : `version ${version} has ${columns} columns`;
  });
  const server = new DatabaseWitness(place.databaseUrl('postgres'), async (client) => {
    await client.query('select');
    return undefined;
  });
  // What the database next to it could not do either, no change of the schema has done.
  return { end: async () => witness.end(usableWithinMs + (await server.stop())) };
}

export const schemaScenarios: readonly Scenario[] = [
  schema({ name: 'schema goes two versions down' }, 'alter table orders drop column two'),
  schema(
    {
      name: 'schema is put on again',
      outcome: 'aborted',
      async people(place) {
        await place.decideWhen('awaiting-approval', 'approve', 'team-lead');
        await place.decideWhen('paused', 'abort', 'team-lead');
      },
    },
    'alter table nothing drop x',
  ),
  {
    name: 'transactions are ended',
    hasDatabase: true,
    settings: (place) => ({ databases: { shop: { url: wiredUrl(place) } } }),
    async prepare(place) {
      const { namespace } = place;
      await place.sql('postgres', `create database "${namespace}"`);
      const client = new pg.Client({ connectionString: place.databaseUrl(namespace) });
      client.on('error', () => undefined);
      await client.connect();
      await client.query('begin');
      await client.query('create table held (id int)');
      return ['transactions', 'shop', '--older-than', '1ms', '--end-after', '1ms'];
    },
    outcome: 'rolled-back',
    world: (place) =>
      place.sql(
        'postgres',
        `select count(*) from pg_stat_activity where datname = '${place.namespace}' and backend_type = 'client backend'`,
      ),
  },
];
