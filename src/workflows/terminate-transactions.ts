import type { SessionChange } from '../activities/postgres/sessions/sessions.ts';
import { postgres } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * R13: `select pg_terminate_backend(pid) from pg_stat_activity`, for exactly the transactions of the
 * plan, and each cancelled first. A transaction that was rolled back cannot be brought back.
 */
export const terminateTransactions = runbook('transactions', {
  plan: (...request) => postgres.planTransactions(...request),

  async steps(run) {
    await run.together(
      run.changes<SessionChange>('session').map((session) => () => {
        const { pid } = session.change.before;
        return run.step(`End session ${pid}`, {
          do: () => postgres.endSession(session),
          noWayBack: 'a transaction that was rolled back is gone',
        });
      }),
    );
  },

  byHand: ({ changes }) => [
    `See what is left: select pid, state, xact_start, query from pg_stat_activity where pid in (${changes.map(({ before }) => before.pid).join(', ')})`,
  ],
});
