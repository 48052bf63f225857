import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import { failureTypes } from '../../../contract/failures.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import type { Effect } from '../../../contract/plan.ts';
import { ApplicationFailure } from '@temporalio/common';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import { Database } from '../database.ts';
import { assertSeesAll, type SessionMandate } from './sessions.ts';

/** How long a statement gets to end by itself once it is cancelled, and a session once it is ended. */
const patienceMs = { cancel: 3000, terminate: 10_000 };
const lookEveryMs = 100;

/** The transaction of the plan, and no other that the same process has begun since. */
const same = `
  pid = $1
  and extract(epoch from backend_start) = $2::numeric
  and extract(epoch from xact_start) = $3::numeric`;

/**
 * Ends the transaction of the plan: its statement is cancelled, and where that does not end it within
 * three seconds, its session is. Process, its start and the transaction's are looked at in the very
 * statement that acts.
 * @throws PlanStale for an undo: what was rolled back cannot be brought back.
 * @throws Refused where the worker's role cannot see the sessions of others any more.
 * @throws RejectedBySystem where the server cannot end it.
 */
export async function endSession(
  { settings }: LoadedSettings,
  { change, undo }: SessionMandate,
  progress: Progress,
): Promise<Effect> {
  const { pid, backendStart, transactionStart } = change.before;
  if (undo) throw stale(`The transaction of session ${pid} was rolled back: nothing undoes that.`);
  const database = new Database(settings, change.target.namespace);
  return database.session(
    async (client) => {
      await database.assertIs(client, change.target);
      await assertSeesAll(client);
      const identity = [pid, backendStart, transactionStart];
      const state = await stateOf(client, identity);
      if (state === undefined) {
        return { changed: false, text: `The transaction of session ${pid} had already ended.` };
      }
      // Cancelling does nothing to a session that only holds its transaction open.
      if (state === 'active') {
        progress.report('Cancelling its statement');
        await client.query(
          `select pg_cancel_backend(pid) from pg_stat_activity where ${same} and state = 'active'`,
          identity,
        );
        if (await hasEnded(client, identity, patienceMs.cancel, progress)) {
          return { changed: true, text: `The transaction of session ${pid} was cancelled.` };
        }
      }
      progress.report('Ending the session');
      await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where ${same}`,
        identity,
      );
      if (await hasEnded(client, identity, patienceMs.terminate, progress)) {
        return { changed: true, text: `Session ${pid} was ended.` };
      }
      throw ApplicationFailure.nonRetryable(
        `Session ${pid} was told to end, and has not within ${patienceMs.terminate / 1000} s: it may be stuck in the operating system, on its disk or a network file; look at the process on the server.`,
        failureTypes.rejectedBySystem,
      );
    },
    { database: database.settings.maintenance },
  );
}

async function stateOf(client: Client, identity: unknown[]): Promise<string | undefined> {
  const { rows } = await client.query<{ state: string }>(
    `select state from pg_stat_activity where ${same}`,
    identity,
  );
  return rows[0]?.state;
}

async function hasEnded(
  client: Client,
  identity: unknown[],
  withinMs: number,
  { cancelled }: Progress,
): Promise<boolean> {
  const giveUp = Date.now() + withinMs;
  while (await stateOf(client, identity)) {
    if (Date.now() > giveUp) return false;
    await delay(lookEveryMs, undefined, { signal: cancelled });
  }
  return true;
}
