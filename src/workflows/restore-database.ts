import type { RestoreChange, SwapChange } from '../activities/postgres/restore/restore-change.ts';
import { postgres } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * R12: `pg_restore --jobs=4` into a copy while the live database serves, a look at the copy, and
 * `ALTER DATABASE ... RENAME` of both in one transaction. What was live is kept.
 */
export const restoreDatabase = runbook('database', {
  plan: (...request) => postgres.planRestore(...request),

  async steps(run) {
    for (const restore of run.changes<RestoreChange>('restore')) {
      await run.step('Restore the backup beside it', {
        do: () => postgres.restoreCopy(restore),
        undo: () => postgres.restoreCopy(restore.inverse),
      });
      await run.step('Verify the copy', { do: () => postgres.verifyCopy(restore) });
    }
    for (const swap of run.changes<SwapChange>('swap')) {
      await run.step('Swap the databases', {
        do: () => postgres.swapDatabases(swap),
        undo: () => postgres.swapDatabases(swap.inverse),
        undoOnlyIf: () => postgres.compareDatabases(swap),
      });
    }
  },

  next: ({ changes, targets: [target] }, id) =>
    changes.some(({ kind }) => kind === 'database/swap')
      ? [`If it was wrong, swap back: rollback database ${target?.namespace} --undo ${id}`]
      : changes.map(
          ({ after: { copy } }) =>
            `Copy rows out of it: pg_dump --data-only -t TABLE ${copy} | psql ${target?.name}; then DROP DATABASE ${copy}`,
        ),

  byHand: ({ targets }) =>
    targets.map(({ name }) => `See which databases there are: rollback history database/${name}`),
});
