import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { chownSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { serverAccount } from '../sandbox/postgres-account.ts';
import { findServers } from '../sandbox/setup/servers.mjs';
import { Database } from '../src/activities/postgres/database.ts';
import { readArchive } from '../src/activities/postgres/restore/archive.ts';
import { restoreCopy } from '../src/activities/postgres/restore/restore-copy.ts';
import type { RestoreMandate } from '../src/activities/postgres/restore/restore-change.ts';
import { loadSettings } from '../src/config/settings.ts';
import { eventually } from './support/eventually.ts';
import { writeSettings } from './support/settings.ts';

/** A disk of its own for the server: only root may make one, and not in every container. */
const disk = mkdtempSync(join(tmpdir(), 'rollback-disk-'));
const mounted = await execa('mount', ['-t', 'tmpfs', '-o', 'size=260m', 'tmpfs', disk], {
  reject: false,
});
const withDisk = mounted.exitCode === 0 ? test : test.skip;
const account = serverAccount();
const program = (name: string) => join(findServers()['postgres-folder'], name);
let port = 0;
const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`;

async function sql<Row extends pg.QueryResultRow>(database: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url(database) });
  client.on('error', () => undefined);
  await client.connect();
  return client
    .query<Row>(text)
    .then(({ rows }) => rows)
    .finally(() => client.end());
}

let stopServer: (() => Promise<unknown>) | undefined;
beforeAll(async () => {
  if (mounted.exitCode !== 0) return;
  if (account) chownSync(disk, account.uid, account.gid);
  const listening = createServer().listen(0, '127.0.0.1');
  await once(listening, 'listening');
  ({ port } = listening.address() as AddressInfo);
  listening.close();
  const options = { cwd: '/', ...account };
  const data = join(disk, 'data');
  const flags = ['--no-sync', '--auth=trust', '--username=postgres', '--pgdata', data];
  await execa(program('initdb'), flags, options);
  const parameters = [`port=${port}`, 'max_wal_size=32MB', 'unix_socket_directories='];
  const args = parameters.flatMap((parameter) => ['-c', parameter]);
  const server = execa(program('postgres'), ['-D', data, ...args], { ...options, reject: false });
  stopServer = () => {
    server.kill('SIGQUIT');
    return server;
  };
  await eventually('the server answers', () =>
    sql('postgres', 'select 1').then(Boolean, () => false),
  );
  await sql('postgres', 'create database shop');
  await sql(
    'shop',
    `create table orders as select g as id, repeat(md5(g::text), 20) as body from generate_series(1, 60000) g`,
  );
  await sql('shop', 'create index on orders (body)');
});
afterAll(async () => {
  await stopServer?.();
  if (mounted.exitCode === 0) await execa('umount', [disk]);
  rmSync(disk, { recursive: true });
});

withDisk(
  'a disk that fills up while a copy is made does not take the live server down',
  async () => {
    const dump = ['--format=custom', `--dbname=${url('shop')}`];
    const dumps = mkdtempSync(join(tmpdir(), 'rollback-backups-'));
    await execa('pg_dump', [...dump, `--file=${join(dumps, 'shop.dump')}`]);
    const settings = {
      databases: { shop: { url: url('shop'), backups: { folder: dumps, jobs: 2 } } },
    };
    const loaded = loadSettings(writeSettings(settings));
    const database = new Database(loaded.settings, 'shop');
    const { backup, bytes, modifiedAt, contents } = await readArchive(
      dumps,
      'shop.dump',
      undefined,
    );
    const mandate: RestoreMandate = {
      ...{ undo: false, run: { workflowId: 'run', firstRunId: 'run' } },
      plan: { targets: [], changeHashes: [], digest: '' },
      authority: { seal: '', approvals: [] },
      change: {
        ...{ id: 'restore', kind: 'database/restore', before: { copy: null } },
        target: await database.session((client) => database.target(client)),
        after: { copy: 'shop_restore', backup, bytes, modifiedAt, contents, recoverTo: null },
      },
    };
    const progress = { report: () => undefined, cancelled: new AbortController().signal };
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
