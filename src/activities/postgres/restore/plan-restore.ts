import { stat } from 'node:fs/promises';
import type { LoadedSettings } from '../../../config/settings.ts';
import { digestPlan } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Plan, Target } from '../../../contract/plan.ts';
import { shellWord } from '../../../contract/printable.ts';
import { refused } from '../../failures.ts';
import type { Clusters } from '../../kubernetes/api.ts';
import { countFreeConnections } from '../connections.ts';
import { Database } from '../database.ts';
import { byHand, type Found, isOfRun, notedBy, readDatabases } from '../notes.ts';
import { assertNothingBlocks, findBlockers } from '../swap/blockers.ts';
import { planSwapBack } from '../swap/plan-swap-back.ts';
import { readPooler } from '../swap/pooler.ts';
import { whereWritesStay } from '../swap/put-aside.ts';
import { readServer } from '../recovery/live-server.ts';
import { planSource } from './plan-source.ts';
import type { Source } from './source.ts';
import { consumersOf, expectedLoss, lossOfAnother } from './expected-loss.ts';
import { checksOf, planCaches, planStops } from './plan-services.ts';
import { freeBytes, readRoom, type Room } from './room.ts';
import { verifications } from './verify-copy.ts';
import { isBare } from './make-copy.ts';
import { derivedName, type RestoreChange, type SwapChange } from './restore-change.ts';

/** What pg_restore was seen to write, indexes included, where its disk is not the limit. */
const bytesASecond = 20e6;
/** Beside those of pg_restore's jobs: its first one, and ours. */
const ownConnections = 2;

/**
 * Plans R12: which backup is restored into which copy, what is lost by it, and what is in the way of
 * the swap. Reads only; needs no Temporal.
 * @throws Refused where it must not or cannot be done, with what to do instead.
 */
export async function planRestore(
  clusters: Clusters,
  loaded: LoadedSettings,
  input: InputOf<'database'>,
): Promise<Plan> {
  const { settings } = loaded;
  const database = new Database(settings, input.database);
  const others = [input.to, input.backup].filter((one) => one !== undefined).length;
  if (input.undo !== undefined && (others > 0 || input.restoreOnly || input.stopFirst)) {
    throw refused(
      '--undo swaps back what a run has swapped, and goes with none of --to, --backup, --restore-only and --stop-first.',
    );
  }
  if (others > 1)
    throw refused('--to and --backup both say what to restore: leave one of them out.');
  if (input.undo !== undefined) return planSwapBack(loaded, database, input.undo);
  if (input.restoreOnly && input.stopFirst) {
    throw refused(
      'Nothing is switched with --restore-only, so no service need stop: leave --stop-first out.',
    );
  }
  const until = timeOf(input.to);
  if (!until && input.backup === undefined) {
    throw refused(
      'Nothing says where to go back to: give a time with --to, such as 2025-01-10T14:30:00Z, or a backup with --backup (rollback history database lists them).',
    );
  }
  const { target, all, server, blockers, consumers, room, connections } = await database.session(
    async (client) => ({
      target: await database.target(client),
      all: await readDatabases(client),
      server: await readServer(client),
      blockers: input.restoreOnly ? [] : await findBlockers(client, database.name),
      consumers: await consumersOf(client, database.name),
      room: await readRoom(client, database.name),
      connections: await countFreeConnections(client),
    }),
    { database: database.settings.maintenance },
  );
  const live = liveOf(database, all);
  const pooler = input.restoreOnly ? undefined : await readPooler(database);
  const source = await planSource(database, { target, input, until, live: server });
  assertNothingBlocks(database, [
    ...blockers,
    ...(pooler?.blockers ?? []),
    ...(source.blockers ?? []),
  ]);
  const { jobs = 1 } = database.settings.backups ?? {};
  const needed = await assertRoom(database, room, source);
  const restore = restoreOf(database, target, source);
  await assertNoStranger(database, all, restore);
  // With --restore-only nothing is swapped, so that nothing is lost.
  const loss = input.restoreOnly
    ? []
    : await database.session((client) => expectedLoss(client, source.at));
  const another = input.restoreOnly ? undefined : lossOfAnother(live, source);
  const swap = swapOf(target, live, restore);
  const stops = input.stopFirst ? await planStops(clusters, loaded, database) : undefined;
  const caches = input.restoreOnly ? undefined : await planCaches(loaded, database);
  const checks = checksOf(loaded, database);
  return digestPlan({
    procedure: 'database',
    targets: [target, ...(stops?.targets ?? []), ...(caches?.targets ?? [])],
    changes: [
      ...(stops?.stops ?? []),
      restore,
      ...(input.restoreOnly ? [] : [swap]),
      ...(caches?.changes ?? []),
      ...(stops?.starts ?? []),
    ],
    summary: summaryOf(database, source, restore, input),
    differences: [
      ...(another ? [`lost: ${another.loss}`] : []),
      ...loss.map((line) => `lost: ${line}`),
      ...(stops?.differences ?? []),
      ...(input.restoreOnly ? [] : consumers.map((line) => `reconnects: ${line}`)),
      ...(pooler?.differences ?? []),
      ...verifications(database),
      ...(caches?.differences ?? []),
    ],
    warnings: [
      ...(another ? [another.warning] : []),
      ...(stops?.warnings ?? []),
      ...(caches?.warnings ?? []),
      ...(pooler?.warnings ?? []),
      ...source.warnings,
      ...(input.to !== undefined && until && !hasZone(input.to)
        ? [`${input.to} has no time zone and is taken as UTC.`]
        : []),
      ...(input.restoreOnly ? [] : [whereWritesStay(all, live, source.at)]),
      ...(connections < jobs + ownConnections
        ? [
            `The server has ${connections} connections left, and the restore takes ${jobs + ownConnections}: end some, or lower backups.jobs in the settings.`,
          ]
        : []),
      ...(room.folders === undefined
        ? [
            `The free space of the server's disk cannot be seen from this worker: the copy and its WAL need some ${inMegabytes(needed)}.`,
          ]
        : []),
    ],
    checks: input.restoreOnly ? [] : checks,
    estimateSeconds: source.seconds + Math.ceil(room.bytes / bytesASecond) + 2,
  });
}

function restoreOf(database: Database, target: Target, { reference, at }: Source): RestoreChange {
  const copy = derivedName(target.name, 'restore', at);
  const { address } = database.forPrograms(copy);
  return {
    ...{ id: 'restore', kind: 'database/restore', target, before: { copy: null } },
    after: { copy, ...reference, address },
  };
}

function swapOf(target: Target, { oid }: Found, { after }: RestoreChange): SwapChange {
  return {
    ...{ id: 'swap', kind: 'database/swap', target, before: { oid } },
    after: { incoming: after.copy, undoes: null },
  };
}

/**
 * Answers the bytes that the server needs for a copy, its WAL, and what a recovery beside it takes.
 * @throws Refused where a disk has less, as far as that can be seen.
 */
async function assertRoom(
  { name }: Database,
  { folders, bytes, reserve }: Room,
  { scratch }: Source,
): Promise<number> {
  if (!folders) return bytes + reserve;
  const { data, tablespace } = folders;
  const all = [
    { folder: data, needs: reserve, of: 'its WAL' },
    { folder: tablespace, needs: bytes, of: `a copy of ${name}` },
    ...(scratch ? [{ folder: scratch.folder, needs: scratch.bytes, of: 'the recovery' }] : []),
  ];
  const disks = new Map<number, typeof all>();
  for (const one of all) {
    const { dev } = await stat(one.folder);
    disks.set(dev, [...(disks.get(dev) ?? []), one]);
  }
  for (const parts of disks.values()) {
    const [{ folder } = { folder: data }] = parts;
    const needed = parts.reduce((sum, { needs }) => sum + needs, 0);
    const free = await freeBytes(folder);
    if (free < needed) {
      throw refused(
        `The disk of ${folder} has ${inMegabytes(free)} free, and ${parts.map(({ of }) => of).join(' with ')} needs some ${inMegabytes(needed)}: make room first.`,
      );
    }
  }
  return bytes + reserve;
}

/** @throws Refused */
function liveOf({ name, address }: Database, all: readonly Found[]): Found {
  const live = all.find((one) => one.name === name);
  if (live) return live;
  throw refused(`There is no database ${name} on ${address}.`);
}

/** @throws Refused where the copy would get the name of a database that no run has made. */
async function assertNoStranger(
  database: Database,
  all: readonly Found[],
  { after }: RestoreChange,
): Promise<void> {
  const there = all.find(({ name }) => name === after.copy);
  if (!there || there.note?.state === 'begun' || (await isBare(database, there))) return;
  const { note } = there;
  const whose = note ? `was restored by ${notedBy(note)}` : 'no run has made';
  // An open run may be about to swap it in.
  const first =
    note && !isOfRun(note, byHand)
      ? `follow or end that run (rollback status ${shellWord(note.workflowId)}); where it has ended, `
      : '';
  throw refused(
    `There is a database ${there.name} that ${whose}, and the copy would get its name: ${first}rename or drop it, then start again.`,
  );
}

/** As PostgreSQL and people write it: `2025-01-10 14:30:00`, with or without a zone. */
function timeOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const compact = text.replace(/^(\S+) (?=\d)/, '$1T').replace(/ /g, '');
  const whole = /T/.test(compact) ? compact : `${compact}T00:00:00`;
  const at = new Date(hasZone(text) ? whole : `${whole}Z`);
  // Of a day that a month does not have, Date makes one of the next.
  const day = new Date(whole.slice(0, 10));
  const isThere = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(whole.slice(0, 10));
  if (isThere && !Number.isNaN(at.getTime())) return at;
  throw refused(`${text} is no time that there is: give one such as 2025-01-10T14:30:00Z.`);
}

function hasZone(text: string): boolean {
  return /(Z|[+-]\d{2}:?\d{2})$/.test(text.slice(10));
}

function summaryOf(
  { name, address }: Database,
  { words }: Source,
  { after }: RestoreChange,
  { restoreOnly, stopFirst }: InputOf<'database'>,
): string {
  const made = `${words} and restored into ${after.copy}`;
  const where = `Database ${name} on ${address}`;
  return restoreOnly
    ? `${where} stays as it is: ${made}, and not switched to.`
    : `${where} goes back: ${made} while ${stopFirst ? 'its services are stopped' : 'it serves'}, then takes its name.`;
}

function inMegabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
