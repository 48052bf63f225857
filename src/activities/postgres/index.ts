/** Activities on PostgreSQL, under the names that follow `postgres.` in the contract. */
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import { endSession } from './sessions/end-session.ts';
import type { SessionMandate } from './sessions/sessions.ts';

export function postgresActivities(parts: PlanningParts) {
  const { settings } = parts;
  return {
    planTransactions: planning(parts, 'transactions'),
    endSession: (mandate: SessionMandate) => endSession(settings, mandate, activityProgress()),
  };
}
export type PostgresActivities = ReturnType<typeof postgresActivities>;
