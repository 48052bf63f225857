import type { LoadedSettings } from '../../../config/settings.ts';
import { digestPlan } from '../../../contract/digest.ts';
import { durationMs } from '../../../contract/duration.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Plan, Target } from '../../../contract/plan.ts';
import { counted } from '../../../contract/printable.ts';
import { refused } from '../../failures.ts';
import type { Clusters } from '../../kubernetes/api.ts';
import { Database } from '../database.ts';
import {
  findLongTransactions,
  readWaits,
  type Session,
  type SessionChange,
  waitingFor,
  type Waits,
  withoutValues,
} from './sessions.ts';

const mostShown = 50;
const mostBlocked = 10;

/**
 * Plans R13: which sessions are ended because their transaction has been open for too long. Reads
 * only; needs no Temporal.
 * @throws Refused where the worker's role cannot see the sessions of others.
 */
export async function planTransactions(
  _clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'transactions'>,
): Promise<Plan> {
  const { olderThan, endAfter } = input;
  if (durationMs(endAfter) < durationMs(olderThan)) {
    throw refused(
      `Sessions would be ended after ${endAfter} that are listed only after ${olderThan}: give a shorter --older-than or a longer --end-after.`,
    );
  }
  const database = new Database(settings, input.database);
  // By another database: this one may have no connection left.
  const [target, listed, waits] = await database.session(
    async (client) => [
      await database.target(client),
      await findLongTransactions(client, database.name, durationMs(olderThan)),
      await readWaits(client),
    ],
    { database: database.settings.maintenance },
  );
  // Who waits for one of these goes on by itself once that has ended.
  const overdue = listed.filter(({ ageMs }) => ageMs > durationMs(endAfter));
  const waiting = waitingFor(
    overdue.map(({ pid }) => pid),
    waits,
  );
  const old = overdue.filter(({ pid }) => !waiting.has(pid));
  const changes = old
    .filter(({ isOutOfReach }) => !isOutOfReach)
    .map((session) => changeOf(target, session));
  const differences = listed.slice(0, mostShown).map((session) => {
    const isEnded = changes.some(({ before }) => before.pid === session.pid);
    const word = isEnded ? 'ended' : waiting.has(session.pid) ? 'waits, and stays' : 'stays';
    return `${word}: ${inWords(session, waits)}`;
  });
  return digestPlan({
    procedure: 'transactions',
    targets: changes.length === 0 ? [] : [target],
    changes,
    summary: summaryOf(database, input, listed.length, changes.length),
    differences: [
      ...differences,
      ...(listed.length > mostShown ? [`and ${listed.length - mostShown} more`] : []),
    ],
    warnings: old
      .filter(({ isOutOfReach }) => isOutOfReach)
      .map(
        ({ pid, user }) =>
          `Session ${pid} is of superuser ${user}, and only a superuser may end it: select pg_terminate_backend(${pid}).`,
      ),
    checks: [],
    estimateSeconds: changes.length === 0 ? 0 : 5,
  });
}

function changeOf(target: Target, { pid, backendStart, transactionStart }: Session): SessionChange {
  return {
    ...{ id: `session/${pid}`, kind: 'database/sessions', target },
    before: { pid, backendStart, transactionStart },
    after: { ended: true },
  };
}

function summaryOf(
  { name, address }: Database,
  { olderThan, endAfter }: InputOf<'transactions'>,
  listed: number,
  ended: number,
): string {
  const where = `database ${name} on ${address}`;
  if (ended > 0) {
    return `${counted(ended, 'session')} of ${where} with a transaction open for more than ${endAfter} ${ended === 1 ? 'is' : 'are'} ended.`;
  }
  if (listed === 0) return `No transaction of ${where} is open for more than ${olderThan}.`;
  return `${counted(listed, 'session')} of ${where} ${listed === 1 ? 'has' : 'have'} a transaction open for more than ${olderThan}, none that may be ended for more than ${endAfter}: give a shorter --end-after to end them as well.`;
}

function inWords(
  { pid, user, application, client, ageMs, state, query }: Session,
  waits: Waits,
): string {
  const from = application ? `${application} from ${client}` : client;
  const blocked = [...waitingFor([pid], waits)];
  const more = blocked.length > mostBlocked ? ` and ${blocked.length - mostBlocked} more` : '';
  const blocks =
    blocked.length > 0 ? `; blocks ${blocked.slice(0, mostBlocked).join(', ')}${more}` : '';
  return `${pid} of ${user} (${from}), ${age(ageMs)}, ${state}${blocks}: ${withoutValues(query)}`;
}

function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}
