import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import { planRestore } from '../src/activities/postgres/restore/plan-restore.ts';
import { restoreCopy } from '../src/activities/postgres/restore/restore-copy.ts';
import { loadSettings } from '../src/config/settings.ts';
import { parseInput } from '../src/contract/input.ts';
import { OwnPostgres } from './support/own-postgres.ts';
import { restoreMandate } from './support/restore-mandate.ts';
import { writeSettings } from './support/settings.ts';
import { silentProgress } from './support/silent-progress.ts';

/** A disk of its own for the server: only root may make one, and not in every container. */
const disk = mkdtempSync(join(tmpdir(), 'rollback-disk-'));
const mounted = await execa('mount', ['-t', 'tmpfs', '-o', 'size=260m', 'tmpfs', disk], {
  reject: false,
});
const withDisk = mounted.exitCode === 0 ? test : test.skip;
const server = await OwnPostgres.reserve();

async function sql<Row extends pg.QueryResultRow>(database: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: server.url(database) });
  client.on('error', () => undefined);
  await client.connect();
  return client
    .query<Row>(text)
    .then(({ rows }) => rows)
    .finally(() => client.end());
}

beforeAll(async () => {
  if (mounted.exitCode !== 0) return;
  await server.start(disk, { max_wal_size: '32MB' });
  await sql('postgres', 'create role keeper');
  await sql('postgres', 'create database shop owner keeper');
  const file = resolve(import.meta.dirname, '../deploy/postgres-role.sql');
  const psql = ['-X', '-v', 'ON_ERROR_STOP=1', '-d', server.url('postgres')];
  await execa('psql', [...psql, '-v', 'worker=worker', '-v', 'owner=keeper', '-f', file]);
  await sql(
    'shop',
    `set role keeper; create table orders as select g as id, repeat(md5(g::text), 20) as body from generate_series(1, 60000) g`,
  );
  await sql('shop', 'set role keeper; create index on orders (body)');
});
afterAll(async () => {
  await server.stop();
  if (mounted.exitCode === 0) await execa('umount', [disk]);
  rmSync(disk, { recursive: true });
});

withDisk('a disk that has no room for a copy is told before anything is done', async () => {
  const dumps = mkdtempSync(join(tmpdir(), 'rollback-backups-'));
  const file = join(dumps, 'shop_2025-01-10T14-30-00Z.dump');
  await execa('pg_dump', ['--format=custom', `--dbname=${server.url('shop')}`, `--file=${file}`]);
  const url = server.url('shop').replace('postgres@', 'worker@');
  const settings = { databases: { shop: { url, backups: { folder: dumps, jobs: 2 } } } };
  const input = parseInput('database', { database: 'shop', to: '2025-01-10T15:00:00Z' });
  const { bavail, bsize } = statfsSync(disk);
  const filler = join(disk, 'filler');
  await execa('fallocate', ['--length', String(bavail * bsize - 40e6), filler]);

  const told = await planRestore(new Clusters(), loadSettings(writeSettings(settings)), input).then(
    () => 'planned',
    (error: Error) => error.message,
  );

  rmSync(filler);
  expect(told).toMatch(
    /has \d+ MB free, and its WAL with a copy of shop needs some \d+ MB: make room first/,
  );
});

withDisk(
  'a disk that fills up while a copy is made does not take the live server down',
  async () => {
    const dump = ['--format=custom', `--dbname=${server.url('shop')}`];
    const dumps = mkdtempSync(join(tmpdir(), 'rollback-backups-'));
    await execa('pg_dump', [...dump, `--file=${join(dumps, 'shop.dump')}`]);
    // The role of the docs, which must see the disk as well.
    const url = server.url('shop').replace('postgres@', 'worker@');
    const settings = { databases: { shop: { url, backups: { folder: dumps, jobs: 2 } } } };
    const loaded = loadSettings(writeSettings(settings));
    const mandate = await restoreMandate(loaded.settings, 'shop', 'shop.dump', 'shop_restore');
    const progress = silentProgress();
    const restore = () => restoreCopy(loaded, mandate, progress);
    const names = async () =>
      (await sql<{ datname: string }>('postgres', `select datname from pg_database`)).map(
        ({ datname }) => datname,
      );
    const { bavail, bsize } = statfsSync(disk);
    const filler = join(disk, 'filler');
    await execa('fallocate', ['--length', String(bavail * bsize - 90e6), filler]);

    await expect(restore()).rejects.toThrow('was ended before the server would go down');

    expect(await names()).not.toContain('shop_restore');
    expect(await sql('shop', 'select count(*)::int as n from orders')).toEqual([{ n: 60_000 }]);

    rmSync(filler);
    expect(await restore()).toMatchObject({ changed: true });
    expect(await names()).toContain('shop_restore');
  },
);
