/** Activities on PostgreSQL, under the names that follow `postgres.` in the contract. */
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import type { RestoreMandate, SwapMandate } from './restore/restore-change.ts';
import { restoreCopy } from './restore/restore-copy.ts';
import { verifyCopy } from './restore/verify-copy.ts';
import { compareDatabases, swapDatabases } from './swap/swap-databases.ts';
import { compareSchema, migrate } from './schema/migrate.ts';
import type { MigrationMandate } from './schema/versions.ts';
import { endSession } from './sessions/end-session.ts';
import type { SessionMandate } from './sessions/sessions.ts';

export function postgresActivities(parts: PlanningParts) {
  const { settings } = parts;
  return {
    planSchema: planning(parts, 'schema'),
    migrate: (mandate: MigrationMandate) => migrate(settings, mandate, activityProgress()),
    compareSchema: (mandate: MigrationMandate) => compareSchema(settings, mandate),
    planRestore: planning(parts, 'database'),
    restoreCopy: (mandate: RestoreMandate) => restoreCopy(settings, mandate, activityProgress()),
    verifyCopy: (mandate: RestoreMandate) => verifyCopy(settings, mandate, activityProgress()),
    swapDatabases: (mandate: SwapMandate) => swapDatabases(settings, mandate, activityProgress()),
    compareDatabases: (mandate: SwapMandate) => compareDatabases(settings, mandate),
    planTransactions: planning(parts, 'transactions'),
    endSession: (mandate: SessionMandate) => endSession(settings, mandate, activityProgress()),
  };
}
export type PostgresActivities = ReturnType<typeof postgresActivities>;
