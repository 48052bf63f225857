import { ApplicationFailure } from '@temporalio/common';
import type { DatabaseSettings } from '../../../config/databases.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { printable } from '../../../contract/printable.ts';
import type { Progress } from '../../progress.ts';
import { Database } from '../database.ts';
import { firstOf } from './plan-services.ts';
import type { RestoreMandate } from './restore-change.ts';
import { runOn } from '../run-program.ts';

/** Longest query that people are shown whole. */
const shownLength = 160;

type Query = DatabaseSettings['verify'][number];

/**
 * Gathers the copy's statistics, which no dump has and without which its first queries would be slow,
 * and asks it what the settings say, in transactions that can only read.
 * @throws CheckFailed with the first answer that is not as it should be.
 */
export async function verifyCopy(
  { settings }: LoadedSettings,
  { change }: RestoreMandate,
  progress: Progress,
): Promise<Effect> {
  const { copy } = change.after;
  const database = new Database(settings, change.target.namespace);
  progress.report(`Gathering statistics of ${copy}`);
  await gatherStatistics(database, copy, progress);
  const { verify } = database.settings;
  await database.session(
    async (client) => {
      await client.query('set default_transaction_read_only = on');
      for (const [index, query] of verify.entries()) {
        progress.report(`Asking query ${index + 1} of ${verify.length}`, index, verify.length);
        const { rows } = await client.query<unknown[]>({ text: query.query, rowMode: 'array' });
        assertAnswer(query, rows[0]?.[0]);
      }
    },
    { database: copy, statementMs: 600_000 },
  );
  const asked = verify.length === 0 ? 'No query verifies it' : `${verify.length} queries are right`;
  return { changed: false, text: `${asked}, and its statistics are gathered.` };
}

/** What a copy must answer before anything is switched to it, a line a query. */
export function verifications({ settings: { verify } }: Database): string[] {
  return firstOf(
    verify.map((one) => {
      const query = one.query.replace(/\s+/g, ' ').trim();
      const shown = query.length > shownLength ? `${query.slice(0, shownLength)} ...` : query;
      return printable(`verifies: the copy answers ${wantedBy(one)} to: ${shown}`);
    }),
  );
}

function wantedBy({ is, atLeast }: Omit<Query, 'query'>): string {
  if (is !== undefined) return String(is);
  return atLeast === undefined ? 'true, or more than 0' : `at least ${atLeast}`;
}

/** @throws CheckFailed */
function assertAnswer({ query, is, atLeast }: Query, answer: unknown): void {
  const isRight =
    is !== undefined
      ? String(answer) === String(is)
      : atLeast !== undefined
        ? Number(answer) >= atLeast
        : answer === true || Number(answer) > 0;
  if (isRight) return;
  throw ApplicationFailure.nonRetryable(
    `The copy answers ${printable(JSON.stringify(answer ?? null))} and not ${wantedBy({ is, atLeast })} to: ${query}. The live database was not touched.`,
    failureTypes.checkFailed,
  );
}

async function gatherStatistics(
  database: Database,
  copy: string,
  progress: Progress,
): Promise<void> {
  const flags = ['--analyze-only', '--quiet'];
  const why = await runOn({ database, on: copy }, 'vacuumdb', flags, progress);
  if (why === undefined) return;
  throw ApplicationFailure.nonRetryable(
    `Statistics of ${copy} cannot be gathered: ${why}.`,
    failureTypes.rejectedBySystem,
  );
}
