import type { InputOf } from '../../../contract/input.ts';
import type { Target } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';
import { listBaseBackups } from '../recovery/base-backups.ts';
import type { LiveServer } from '../recovery/live-server.ts';
import { exactTime, planRecovery } from '../recovery/plan-recovery.ts';
import { planDump } from './plan-dump.ts';
import type { Source } from './source.ts';

/**
 * Chooses what the copy is made from: the dump that the input names, else what gets nearest to the
 * time, which is a base backup that was complete by then, with its WAL, and else a dump.
 * @throws Refused where there is neither, and for a time that is still to come.
 */
export async function planSource(
  database: Database,
  {
    target,
    input,
    until,
    live,
  }: { target: Target; input: InputOf<'database'>; until: Date | undefined; live: LiveServer },
): Promise<Source> {
  if (until && until > live.now) {
    throw refused(
      `${exactTime(until, input.to)} is still to come; the server's clock says ${live.now.toISOString()}.`,
    );
  }
  const { folder, recovery } = database.settings.backups ?? {};
  if (!recovery || !until) return planDump(database, input, until, live.major);
  const backups = await listBaseBackups(database);
  const backup = backups.find(({ endedAt }) => endedAt <= until);
  if (backup) return planRecovery(database, { target, live, backup, to: until, text: input.to });
  const [oldest] = backups.slice(-1);
  const none =
    `No base backup in ${recovery.base} was complete by ${until.toISOString()}` +
    (oldest ? ` (the oldest was at ${oldest.endedAt.toISOString()})` : '');
  if (folder === undefined) throw refused(`${none}: nothing goes back that far.`);
  const dump = await planDump(database, input, until, live.major);
  return {
    ...dump,
    warnings: [`${none}, so that it goes back to a dump, and not to the second.`, ...dump.warnings],
  };
}
