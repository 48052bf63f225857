import type { LoadedSettings } from '../../../config/settings.ts';
import { digestPlan } from '../../../contract/digest.ts';
import type { Plan } from '../../../contract/plan.ts';
import { printable } from '../../../contract/printable.ts';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';
import { type Found, readDatabases } from '../notes.ts';
import { consumersOf, expectedLoss } from '../restore/expected-loss.ts';
import { checksOf, planCaches } from '../restore/plan-services.ts';
import type { SwapChange } from '../restore/restore-change.ts';
import { assertNothingBlocks, findBlockers } from './blockers.ts';
import { readPooler } from './pooler.ts';
import { whereWritesStay } from './put-aside.ts';

/**
 * Plans to take back what an earlier run has swapped: the database that it put aside gets its name
 * again. Reads only.
 * @throws Refused where that run has put none aside, it is live again already, or it is gone.
 */
export async function planSwapBack(
  loaded: LoadedSettings,
  database: Database,
  runId: string,
): Promise<Plan> {
  const caches = await planCaches(loaded, database);
  return database.session(
    async (client) => {
      const all = await readDatabases(client);
      const live = all.find(({ name }) => name === database.name);
      // An id may have been used again: the latest of its runs counts.
      const [old] = all
        .filter(
          ({ note }) =>
            note?.state === 'old' && note.workflowId === runId && note.of === database.name,
        )
        .toSorted((one, other) => ((one.note?.at ?? '') < (other.note?.at ?? '') ? 1 : -1));
      if (!live || !old) {
        const undone = live && undoingOf(live, runId);
        throw refused(
          undone ??
            `Run ${printable(runId)} has put no database aside for ${database.name} on ${database.address}, or it is gone: see rollback history database.`,
        );
      }
      const pooler = await readPooler(database);
      assertNothingBlocks(database, [
        ...(await findBlockers(client, database.name, old.name)),
        ...(pooler?.blockers ?? []),
      ]);
      const target = await database.target(client);
      const swap: SwapChange = {
        ...{ id: 'swap', kind: 'database/swap', target, before: { oid: live.oid } },
        after: { incoming: old.name, undoes: runId },
      };
      const since = new Date(old.note?.at ?? '');
      const loss = await database.session((session) => expectedLoss(session, since));
      const consumers = await consumersOf(client, database.name);
      return digestPlan({
        ...{ procedure: 'database', targets: [target, ...caches.targets] },
        changes: [swap, ...caches.changes],
        summary: `Database ${database.name} on ${database.address} is again what it was before run ${runId}: ${old.name} takes its name.`,
        differences: [
          ...loss.map((line) => `lost: ${line}`),
          ...consumers.map((line) => `reconnects: ${line}`),
          ...(pooler?.differences ?? []),
          ...caches.differences,
        ],
        warnings: [
          ...caches.warnings,
          ...(pooler?.warnings ?? []),
          whereWritesStay(all, live, since),
        ],
        checks: checksOf(loaded, database),
        estimateSeconds: 1,
      });
    },
    { database: database.settings.maintenance },
  );
}

/** Which run has made the live database what it was before that run, in words; undefined where none has. */
function undoingOf({ name, note }: Found, runId: string): string | undefined {
  const isUndone =
    note?.state === 'live' && note.was?.state === 'old' && note.was.workflowId === runId;
  if (!isUndone) return undefined;
  return `Run ${printable(note.workflowId)} has already undone what run ${printable(runId)} swapped, at ${note.at}: ${name} is what it was before. To take that back as well, name run ${printable(note.workflowId)}.`;
}
