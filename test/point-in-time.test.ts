import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { recoveryFolders, stopArchiving, takeBaseBackup } from '../sandbox/base-backup.ts';
import { findServers } from '../sandbox/setup/servers.mjs';
import { sizeParameters } from '../src/activities/postgres/recovery/parameters.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { TestDatabases } from './support/databases.ts';
import { OwnPostgres } from './support/own-postgres.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const server = await OwnPostgres.reserve();
const databases = new TestDatabases(server.url('postgres'));
const { folder } = databases;
/** By what each is for; names are as nasty as PostgreSQL allows. */
const names = {
  plain: databases.nameOf(`it's a "shop" \\ 店`),
  tar: databases.nameOf('tar'),
  damaged: databases.nameOf('damaged'),
  unarchived: databases.nameOf('unarchived'),
  printed: databases.nameOf('by hand $(false) `x`'),
};
type Key = keyof typeof names;
const [base, wal, scratch] = ['base', 'wal', 'scratch'].map((name) => join(folder, name)) as [
  ...[string, string, string],
];
const recovery = { base, wal, scratch };
const deep = join(scratch, 'd'.repeat(60));
const env = useRollbackEnvironment(
  {
    databases: {
      ...Object.fromEntries(
        Object.entries(names).map(([key, name]) => [
          key,
          { url: databases.url(name), backups: { jobs: 2, recovery } },
        ]),
      ),
      deep: {
        url: databases.url(names.plain),
        backups: { recovery: { base, wal, scratch: deep } },
      },
      dumped: { url: databases.url(names.plain), backups: { folder, recovery } },
    },
  },
  { procedure: 'database' },
);
let plain: string;
/** Where a subscription of the server connects to, which its own server never does here. */
const publisher = createServer((socket) => socket.destroy());
let connected = 0;
publisher.on('connection', () => (connected += 1));
/** Owner of all that PostgreSQL writes. */
let [uid, gid] = [0, 0];

beforeAll(async () => {
  const folders = recoveryFolders(folder);
  await server.start(join(folder, 'server'), {
    archive_mode: 'on',
    max_prepared_transactions: '10',
    max_logical_replication_workers: '0',
    track_commit_timestamp: 'on',
  });
  await Promise.all(Object.values(names).map((name) => databases.create(name)));
  mkdirSync(scratch);
  await once(publisher.listen(0, '127.0.0.1'), 'listening');
  const { port } = publisher.address() as AddressInfo;
  await databases.sql(
    'postgres',
    `create subscription s connection 'host=127.0.0.1 port=${port}' publication p with (connect = false)`,
  );
  await databases.sql('postgres', 'alter subscription s enable');
  // What was prepared and left is in the base backup as well, and must not keep it from being recovered.
  await databases.sql(names.tar, `begin; delete from orders; prepare transaction '${names.tar}'`);
  plain = await takeBaseBackup(databases.url('postgres'), folders);
  ({ uid, gid } = statSync(plain));
  await databases.sql(names.tar, `rollback prepared '${names.tar}'`);
});
afterAll(async () => {
  publisher.close();
  await databases.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** An instant on the server's clock, after all that was committed and before all that comes. */
async function now(): Promise<string> {
  const [row] = await databases.sql<{ now: Date }>(
    'postgres',
    `select date_trunc('milliseconds', clock_timestamp()) + interval '1 ms' as now from pg_sleep(0.002)`,
  );
  await databases.sql('postgres', 'select pg_sleep(0.005)');
  return row?.now.toISOString() ?? '';
}

/** Thirty transactions as fast as the server makes them; answers the instant at which the twentieth was committed. */
async function amongOthers(database: string): Promise<string> {
  await databases.sql(
    database,
    `do $$ begin for id in 11..40 loop insert into orders values (id, 'x'); commit; end loop; end $$`,
  );
  const [row] = await databases.sql<{ at: string }>(
    database,
    `select to_char(pg_xact_commit_timestamp(xmin) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
     from orders where id = 30`,
  );
  return row?.at ?? '';
}

async function run(database: Key, input: object): Promise<string> {
  const id = await env.startAs('on-call', { database, ...input });
  const { phase, message } = await eventually('it is planned', async () => {
    const status = await env.status(id);
    return ['awaiting-approval', 'done'].includes(status.phase) && status;
  });
  if (phase === 'done') throw new Error(message);
  await env.decide(id, 'approve', 'team-lead');
  return id;
}
const refusal = async (database: string, input: object) =>
  (await env.result(await env.startAs('on-call', { database, ...input }))).message;
/** Where a run stands once it has ended, or needs somebody. */
const settled = (id: string) =>
  eventually(
    'it ends or pauses',
    async () => {
      const status = await env.status(id);
      return ['paused', 'done'].includes(status.phase) && status;
    },
    30_000,
  );

test.each(['plain', 'tar'] as const)(
  'no transaction of before that instant is lost, and none of after it comes back (%s)',
  async (key) => {
    if (key === 'tar') {
      // Newer than the one of plain files, so that it is the one that is taken.
      const backup = await takeBaseBackup(
        databases.url('postgres'),
        recoveryFolders(folder),
        'tar',
      );
      expect(existsSync(join(backup, 'base.tar.gz'))).toBe(true);
    }
    const to = await amongOthers(names[key]);
    await databases.sql(names[key], `delete from orders; insert into orders values (41, 'after')`);
    const timelines = () => readdirSync(wal).map((file) => file.slice(0, 8));

    const { phase, pausedAt } = await settled(await run(key, { to }));

    expect(pausedAt).toEqual([]);
    expect(phase).toBe('done');
    expect(await databases.orders(names[key])).toBe(30);
    const [old] = (await databases.names()).filter((name) => name.includes('_old_'));
    expect(await databases.sql(old ?? '', 'select id from orders')).toEqual([{ id: 41 }]);
    await databases.sql('postgres', `drop database "${old?.replaceAll('"', '""')}"`);
    // What the live server is subscribed to was not read by another.
    expect(connected).toBe(0);
    // Neither files nor a server are left, and nothing in the archive that it recovered from.
    expect(readdirSync(scratch)).toEqual([]);
    expect(new Set(timelines())).toEqual(new Set(['00000001']));
  },
);

test('the plan as commands brings the same back by hand, and does nothing a second time', async () => {
  const cli = new CommandLine({
    ROLLBACK_CONFIG: settingsFileWith(
      JSON.stringify({
        databases: { shop: { url: databases.url(names.printed), backups: { jobs: 2, recovery } } },
      }),
    ),
  });
  const to = await now();
  await databases.sql(names.printed, 'delete from orders');
  const { stdout: listed } = await cli.run('history', 'database/shop');
  expect(listed).toContain(
    `--to takes it to any second since ${statSync(join(plain, 'backup_manifest')).mtime.toISOString()}`,
  );
  const { stdout } = await cli.run('plan', 'database', '--to', to, '--commands');
  // PostgreSQL's own account, which must reach the folder; and its own programs.
  chownSync(scratch, uid, gid);
  const PATH = `${findServers()['postgres-folder']}:${process.env.PATH}`;
  const byHand = () => execa('bash', { input: stdout, cwd: '/', uid, gid, env: { PATH } });

  await byHand();
  expect(await databases.orders(names.printed)).toBe(10);
  expect(readdirSync(scratch)).toEqual([]);
  await expect(byHand()).rejects.toThrow('is another database now than when this was planned');
});

test('whoever goes back behind the first base backup is told so, and gets a dump where there is one', async () => {
  const before = new Date(statSync(plain).birthtimeMs - 3_600_000);
  const to = before.toISOString();
  expect(await refusal('plain', { to })).toContain('nothing goes back that far');
  const dump = await databases.dump(names.plain, new Date(before.getTime() - 60_000));
  const { plan } = await env.result(
    await env.startAs('on-call', { database: 'dumped', to, dryRun: true }),
  );
  expect(plan?.changes[0]?.after).toMatchObject({ backup: dump, recoverTo: null });
  expect(plan?.warnings.join()).toContain('goes back to a dump, and not to the second');
});

test('what cannot be recovered is refused before anybody approves it', async () => {
  expect(await refusal('deep', { to: await now() })).toContain(
    'is too long for the path of a socket',
  );
  const later = new Date(Date.now() + 3_600_000).toISOString();
  expect(await refusal('plain', { to: later })).toContain('is still to come');

  const to = await now();
  const first = readdirSync(wal)
    .filter((file) => /^[0-9A-F]{24}$/.test(file))
    .sort();
  const needed = first.at(-1) ?? '';
  await databases.sql('postgres', 'select txid_current(); select pg_switch_wal()');
  const next = await eventually('the next segment is archived', () => {
    const files = readdirSync(wal).filter((file) => /^[0-9A-F]{24}$/.test(file) && file > needed);
    return Promise.resolve(files[0]);
  });
  renameSync(join(wal, needed), join(folder, needed));
  try {
    expect(next).toBeDefined();
    expect(await refusal('plain', { to })).toContain('lacks WAL from the base backup on');
  } finally {
    renameSync(join(folder, needed), join(wal, needed));
  }

  const foreign = join(base, 'foreign');
  const initdb = join(findServers()['postgres-folder'], 'initdb');
  await execa(initdb, ['--no-sync', '--pgdata', foreign], { cwd: '/', uid, gid });
  writeFileSync(
    join(foreign, 'backup_manifest'),
    JSON.stringify({ Files: [], 'WAL-Ranges': [{ 'Start-LSN': '0/1000000' }] }),
  );
  try {
    expect(await refusal('plain', { to: await now() })).toContain('it is of another server');
  } finally {
    rmSync(foreign, { recursive: true });
  }
});

test('whoever approves is told which tables have no WAL, and so come back empty', async () => {
  await databases.sql(names.plain, 'create unlogged table "Scores" (id int)');
  const { plan } = await env.result(
    await env.startAs('on-call', { database: 'plain', to: await now(), dryRun: true }),
  );
  expect(plan?.warnings.join()).toContain('are empty afterwards: "Scores".');
});

test('a recovered server has the locks that a dump of the live one takes, and no trigger runs at its logins', () => {
  const control = new Map([
    ['pg_control version number', '1700'],
    ['max_connections setting', '200'],
    ['max_locks_per_xact setting', '640'],
  ]);
  expect(sizeParameters(control).split('\n')).toEqual([
    `max_connections = '200'`,
    `max_locks_per_transaction = '640'`,
    `event_triggers = 'off'`,
    '',
  ]);
});

test('a base backup with one wrong byte changes nothing', async () => {
  const damaged = join(base, 'damaged');
  // Its manifest is newer, so that it is the one that is taken.
  await execa('cp', ['-r', '--preserve=mode,ownership', plain, damaged]);
  const file = openSync(join(damaged, 'base', '1', '1255'), 'r+');
  writeSync(file, 'x', 8000);
  closeSync(file);
  try {
    const status = await settled(await run('damaged', { to: await now() }));

    expect(status.pausedAt[0]?.error).toContain('it is not whole: checksum mismatch for file');
    expect((await env.abort(status)).outcome).toBe('aborted');
    expect(await databases.orders(names.damaged)).toBe(10);
    expect(readdirSync(scratch)).toEqual([]);
  } finally {
    rmSync(damaged, { recursive: true });
  }
});

test('where the archive does not reach to that time, it says so and leaves the live database as it is', async () => {
  await stopArchiving(databases.url('postgres'));
  const to = await now();
  await databases.sql(names.unarchived, 'delete from orders');
  const id = await run('unarchived', { to });
  const status = await settled(id);
  expect(status.pausedAt[0]?.error).toContain('The archive does not reach to that time');
  expect(await databases.orders(names.unarchived)).toBe(0);

  expect((await env.abort(status)).outcome).toBe('aborted');

  const left = (await databases.names()).filter((name) => name.startsWith(names.unarchived));
  expect(left).toEqual([names.unarchived]);
});
