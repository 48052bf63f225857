import type { MigrationChange } from '../activities/postgres/schema/versions.ts';
import { postgres } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/** R11: `psql < rollback_to_vN.sql`, one version after the other, each in one transaction. */
export const rollbackSchema = runbook('schema', {
  plan: (...request) => postgres.planSchema(...request),

  async steps(run) {
    for (const migration of run.changes<MigrationChange>('migration')) {
      const { before, after } = migration.change;
      await run.step(`Take version ${before.version} back`, {
        isNeeded: true,
        do: () => postgres.migrate(migration),
        ...(after.forward === null
          ? { noWayBack: 'there is no script that puts it on again' }
          : { undo: () => postgres.migrate(migration.inverse) }),
        undoOnlyIf: () => postgres.compareSchema(migration),
      });
    }
  },

  byHand: ({ targets }) =>
    targets.map(
      ({ namespace }) => `See which version is applied: rollback history schema/${namespace}`,
    ),
});
