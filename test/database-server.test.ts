import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { chmodSync, chownSync, mkdtempSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serverAccount } from '../sandbox/postgres-account.ts';
import { Database, identifier } from '../src/activities/postgres/database.ts';
import { noteSql, readDatabases } from '../src/activities/postgres/notes.ts';
import { restoreCopy } from '../src/activities/postgres/restore/restore-copy.ts';
import type { SwapMandate } from '../src/activities/postgres/restore/restore-change.ts';
import { swapDatabases } from '../src/activities/postgres/swap/swap-databases.ts';
import { tryToRename } from '../src/activities/postgres/swap/rename-databases.ts';
import { loadSettings } from '../src/config/settings.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { OwnPostgres } from './support/own-postgres.ts';
import { restoreMandate } from './support/restore-mandate.ts';
import { writeSettings } from './support/settings.ts';
import { silentProgress } from './support/silent-progress.ts';

const server = await OwnPostgres.reserve();
const folder = mkdtempSync(join(tmpdir(), 'rollback-server-'));
const databases = new TestDatabases(server.url('postgres'));
const shop = databases.nameOf('shop');
let dump: string;

/** A server whose certificate is `localhost`'s, by an authority that only the test knows. */
beforeAll(async () => {
  const openssl = (...args: string[]) => execa('openssl', args, { cwd: folder });
  const key = ['-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  await openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=ca');
  await openssl(
    'req',
    ...key.slice(0, 3),
    '-keyout',
    'server.key',
    '-out',
    'server.csr',
    '-subj',
    '/CN=localhost',
  );
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
  await openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.crt');
  const account = serverAccount();
  if (account) chownSync(join(folder, 'server.key'), account.uid, account.gid);
  chmodSync(folder, 0o755);
  await server.start(join(folder, 'server'), {
    ...{ max_connections: '250', ssl: 'on' },
    ssl_cert_file: join(folder, 'server.crt'),
    ssl_key_file: join(folder, 'server.key'),
  });
  await databases.create(shop);
  dump = await databases.dump(shop, new Date('2025-01-10'));
});
afterAll(async () => {
  await databases.close();
  await server.stop();
});

const settingsFor = (url: string) =>
  loadSettings(
    writeSettings({ databases: { shop: { url, backups: { folder: databases.folder, jobs: 2 } } } }),
  );
/** Address by the certificate's name. */
const tlsUrl = (query: string, host = 'localhost') =>
  `${databases.url(shop).replace('127.0.0.1', host)}?${query}`;
const rootCertificate = `sslrootcert=${encodeURIComponent(join(folder, 'ca.crt'))}`;

test.each([
  [
    'with the certificate verified',
    `sslmode=verify-full&${rootCertificate}&options=-c%20work_mem%3D5MB`,
  ],
  ['required, as PostgreSQL means it', 'sslmode=require&uselibpqcompat=true'],
])('TLS %s is for sessions and for pg_restore, which tells how far it is', async (_, query) => {
  const loaded = settingsFor(tlsUrl(query));
  const database = new Database(loaded.settings, 'shop');
  const isEncrypted = await database.session(async (client) => {
    const { rows } = await client.query<{ ssl: boolean }>(
      'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
    );
    return rows[0]?.ssl;
  });
  expect(isEncrypted).toBe(true);
  const copy = databases.nameOf(`copy ${query.length}`);
  const percents: number[] = [];
  const progress = {
    ...silentProgress(),
    report: (_text: string, done?: number) => void percents.push(done ?? 0),
  };

  await restoreCopy(loaded, await restoreMandate(loaded.settings, 'shop', dump, copy), progress);

  expect(await databases.orders(copy)).toBe(10);
  expect(percents.at(-1)).toBe(100);
  expect(percents).toEqual(percents.toSorted((one, other) => one - other));
  expect(new Set(percents).size).toBeGreaterThan(2);
});

test('TLS that is to be verified is not spoken with a server that nobody vouches for', async () => {
  const stranger = new Database(settingsFor(tlsUrl('sslmode=verify-full')).settings, 'shop');
  await expect(stranger.session((client) => client.query('select 1'))).rejects.toThrow(
    'certificate',
  );
});

test('an address for programs keeps its options and has no password', () => {
  const url =
    'postgres://me:p%40ss@db/shop?options=-c%20x%3D1&sslpassword=s&password=q&sslmode=no-verify';
  const { address, env } = new Database(settingsFor(url).settings, 'shop').forPrograms('a b');
  expect(address).toBe('postgres://me@db/a%20b?options=-c%20x%3D1&sslmode=require');
  expect(env).toMatchObject({ PGPASSWORD: 'q' });
});

test("the runbook's own pg_restore writes over the live database, and ours stands beside it", async () => {
  const [runbook, ours] = ['runbook', 'ours'].map((name) => databases.nameOf(name)) as [
    string,
    string,
  ];
  const scratch = databases.nameOf('wakala_restore');
  await databases.sql('postgres', `create database "${scratch}"`);
  const dumps = await Promise.all(
    [runbook, ours].map(async (name) => {
      await databases.create(name);
      const archive = await databases.dump(name, new Date('2025-01-10'));
      await databases.sql(name, `insert into orders values (99, 'written since')`);
      return archive;
    }),
  );

  const { exitCode } = await execa('pg_restore', [
    ...[
      '-d',
      databases.url(scratch),
      '--clean',
      '--create',
      join(databases.folder, dumps[0] ?? ''),
    ],
  ]);
  const loaded = settingsFor(databases.url(ours));
  const copy = databases.nameOf('copy');
  const mandate = await restoreMandate(loaded.settings, 'shop', dumps[1] ?? '', copy);
  const progress = silentProgress();
  await restoreCopy(loaded, mandate, progress);

  expect(exitCode).toBe(0);
  expect(await databases.orders(runbook)).toBe(10);
  await expect(databases.orders(scratch)).rejects.toThrow('does not exist');
  expect(await databases.orders(ours)).toBe(11);
  expect(await databases.orders(copy)).toBe(10);
});

test('an empty copy that a killed worker left without its note goes with an abort', async () => {
  const loaded = settingsFor(databases.url(shop));
  const copy = databases.nameOf('bare copy');
  const mandate = await restoreMandate(loaded.settings, 'shop', dump, copy);
  const progress = silentProgress();
  await databases.sql('postgres', `create database ${identifier(copy)}`);

  const { changed } = await restoreCopy(loaded, { ...mandate, undo: true }, progress);

  expect(changed).toBe(true);
  expect(await databases.names()).not.toContain(copy);
});

test('a copy that another run has restored is not made anew, since somebody may work with it', async () => {
  const loaded = settingsFor(databases.url(shop));
  const copy = databases.nameOf('their copy');
  const mandate = await restoreMandate(loaded.settings, 'shop', dump, copy);
  const progress = silentProgress();
  await databases.create(copy, 1);
  const whose = { workflowId: 'another', firstRunId: 'another', of: shop };
  const note = { ...whose, state: 'restored', at: new Date().toISOString() } as const;
  await databases.sql('postgres', noteSql(copy, undefined, note));

  const restoring = restoreCopy(loaded, mandate, progress);

  await expect(restoring).rejects.toThrow('is no copy that this run has made');
  expect(await databases.orders(copy)).toBe(1);
});

/** What swaps a copy in that was restored with this mandate. */
async function swapMandate(
  restored: Awaited<ReturnType<typeof restoreMandate>>,
  live: string,
  incoming: string,
): Promise<SwapMandate> {
  const [before] = await databases.sql<{ oid: number }>(
    'postgres',
    `select oid from pg_database where datname = '${live}'`,
  );
  return {
    ...restored,
    change: {
      ...{ id: 'swap', kind: 'database/swap', target: restored.change.target },
      ...{ before: { oid: before?.oid ?? 0 }, after: { incoming, undoes: null } },
    },
  };
}

test('a swap that an abort has called off is not made by an attempt that comes late', async () => {
  const live = databases.nameOf('called off');
  const copy = databases.nameOf('called off copy');
  await databases.create(live);
  const archive = await databases.dump(live, new Date('2025-01-10'));
  const loaded = settingsFor(databases.url(live));
  const mandate = await restoreMandate(loaded.settings, 'shop', archive, copy);
  const progress = silentProgress();
  await restoreCopy(loaded, mandate, progress);
  const swap = await swapMandate(mandate, live, copy);
  const undone = await swapDatabases(loaded, { ...swap, undo: true }, progress);
  expect(undone).toMatchObject({ changed: false });
  await databases.sql(live, `insert into orders values (99, 'since')`);

  const late = swapDatabases(loaded, swap, progress);

  await expect(late).rejects.toThrow('is not there as the plan has it');
  expect(await databases.orders(live)).toBe(11);
});

test('a swap that finds no connection left is put off, and nobody has to wait for it', async () => {
  const live = databases.nameOf('last one');
  await databases.create(live);
  const archive = await databases.dump(live, new Date('2025-01-10'));
  const copy = databases.nameOf('last copy');
  const { settings } = settingsFor(databases.url(live));
  const mandate = await restoreMandate(settings, 'shop', archive, copy);
  const progress = silentProgress();
  await restoreCopy(settingsFor(databases.url(live)), mandate, progress);
  // As where others have taken all but one of those that the server has.
  const worker = await databases.role(
    'few',
    'createdb connection limit 1 in role pg_signal_backend, pg_read_all_stats',
  );
  const client = await databases.connect(live, await databases.role('client', ''));
  for (const name of [live, copy]) {
    await databases.sql('postgres', `alter database ${identifier(name)} owner to ${worker}`);
  }

  const swap = await swapMandate(mandate, live, copy);
  const swapping = swapDatabases(settingsFor(databases.url(live, worker)), swap, progress);
  await expect(swapping).rejects.toThrow('does not answer: too many connections for role');

  expect((await client.query('select 1')).rowCount).toBe(1);
  expect(await databases.names()).toEqual(expect.arrayContaining([live, copy]));
  await client.end();
});

test('200 clients that connect again and again are all served after a swap, and no write is lost', async () => {
  const [live, copy, aside] = ['crowded', 'crowded copy', 'crowded aside'].map((name) =>
    databases.nameOf(name),
  ) as [string, string, string];
  await Promise.all([live, copy].map((name) => databases.create(name, 0)));
  const acknowledged: number[] = [];
  const counts = Array.from({ length: 200 }, () => 0);
  const stop = new AbortController();
  const clients = counts.map(async (_, index) => {
    while (!stop.signal.aborted) {
      try {
        const client = await databases.connect(live);
        try {
          while (!stop.signal.aborted) {
            const id = index * 10_000 + (counts[index] ?? 0);
            await client.query(`insert into orders values (${id}, 'x')`);
            acknowledged.push(id);
            counts[index] = (counts[index] ?? 0) + 1;
          }
        } finally {
          await client.end().catch(() => undefined);
        }
      } catch {
        // Ended by the swap: it comes back at once.
      }
    }
  });
  const allWrite = async () => {
    const seen = [...counts];
    const isWritten = () => counts.every((count, index) => count > (seen[index] ?? 0));
    await eventually('every client has written', () => Promise.resolve(isWritten()), 20_000);
  };
  await allWrite();
  const [client, other] = [
    await databases.connect('postgres'),
    await databases.connect('postgres'),
  ];
  const all = await readDatabases(client);
  const [one, two] = [live, copy].map((name) => all.find((found) => found.name === name));
  if (!one || !two) throw new Error('There are no databases to swap.');

  const ended = await tryToRename(client, other, {
    ...{ live: one, incoming: two, aside, between: databases.nameOf('between') },
    incomingNote: undefined,
    outgoingNote: { workflowId: 'w', firstRunId: 'r', state: 'old', of: live, at: '' },
  });

  await allWrite();
  stop.abort();
  await Promise.all([...clients, client.end(), other.end()]);
  // Those of the last try, where one was not enough.
  expect(ended).toBeGreaterThan(0);
  const kept = await Promise.all(
    [aside, live].map((name) => databases.sql<{ id: number }>(name, 'select id from orders')),
  );
  const ids = new Set(kept.flat().map(({ id }) => id));
  expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
});

test('a program of PostgreSQL does not outlive a worker that is killed', async () => {
  const module = new URL('../src/activities/postgres/run-program.ts', import.meta.url).href;
  const script = `
    const { runProgram } = await import(${JSON.stringify(module)});
    const see = (line) => console.log(line);
    await runProgram('sh', ['-c', 'echo $$ >&2; sleep 60 & wait'], { cancelled: new AbortController().signal, see });`;
  const worker = execa(process.execPath, ['--input-type=module', '-e', script], { reject: false });
  const [said] = (await once(worker.stdout, 'data')) as [Buffer];
  const group = Number(String(said));
  expect(isAlive(group)).toBe(true);

  worker.kill('SIGKILL');

  await eventually('it has ended', () => Promise.resolve(!isAlive(group)));
});

/** Whether any process of the group is there that has not ended. */
function isAlive(group: number): boolean {
  try {
    return process.kill(-group, 0);
  } catch {
    return false;
  }
}
