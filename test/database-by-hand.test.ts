import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { identifier } from '../src/activities/postgres/database.ts';
import { CommandLine, nowhere, settingsFileWith } from './support/command-line.ts';
import { TestDatabases } from './support/databases.ts';

/** The commands of `rollback plan database`, with no Temporal and no worker. */
const databases = new TestDatabases();
const shop = databases.nameOf(`it's a "shop"`);
const cli = new CommandLine({
  TEMPORAL_ADDRESS: nowhere,
  ROLLBACK_CONFIG: settingsFileWith(
    JSON.stringify({
      databases: { shop: { url: databases.url(shop), backups: { folder: databases.folder } } },
    }),
  ),
});
const to = ['--to', '2025-01-10T15:00:00Z'];
beforeAll(async () => {
  await databases.create(shop);
  await databases.dump(shop, new Date('2025-01-10T14:30:00Z'));
});
afterAll(() => databases.close());

async function byHand(...args: string[]): Promise<void> {
  const { stdout } = await cli.run('plan', 'database', 'shop', ...args, '--commands');
  await execa('sh', { input: stdout });
}
const about = async (name: string) => {
  const [row] = await databases.sql<{ most: number; said: string }>(
    'postgres',
    `select datconnlimit as most, split_part(shobj_description(oid, 'pg_database'), chr(10), 1) as said
     from pg_database where datname = '${name.replaceAll("'", "''")}'`,
  );
  return row;
};

test('a restore by the printed commands is seen by the next plan, keeps limit and comment, and is taken back', async () => {
  await databases.sql(
    'postgres',
    `alter database ${identifier(shop)} connection limit 90;
     comment on database ${identifier(shop)} is 'what it''s for'`,
  );
  await databases.sql(shop, `insert into orders values (99, 'late')`);

  await byHand(...to);

  expect(await databases.orders(shop)).toBe(10);
  expect(await about(shop)).toEqual({ most: 90, said: "what it's for" });
  const { stdout: again } = await cli.run('plan', 'database', 'shop', ...to);
  expect(again).toContain(
    'The live database was restored from this very backup by the commands of rollback plan at 20',
  );
  const [{ kept = [] } = {}] = await cli.json<{
    kept?: { name: string; state: string; run: string }[];
  }>(...['history', 'database/shop']);
  expect(kept).toMatchObject([{ state: 'old', run: 'by-hand' }]);
  expect(await databases.orders(kept[0]?.name ?? '')).toBe(11);

  await byHand('--undo', 'by-hand');

  expect(await databases.orders(shop)).toBe(11);
  expect(await about(shop)).toEqual({ most: 90, said: "what it's for" });
  await databases.sql('postgres', `drop database ${identifier((await oldOf()) ?? '')}`);
});

test('a copy that the commands have left is listed, and refused with what to do', async () => {
  await byHand(...to, '--restore-only');

  const { stdout } = await cli.run('history', 'database/shop');
  expect(stdout).toMatch(/_restore_20250110T143000Z +restored/);
  const { exitCode, stderr } = await cli.run('plan', 'database', 'shop', ...to);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(
    'was restored by the commands of rollback plan, and the copy would get its name: rename or drop it',
  );
});

const oldOf = async () => (await databases.names()).find((name) => name.includes('_old_'));
