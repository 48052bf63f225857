/** How changes of feature flags and caches are made by hand, by the kind of the change. */
import type { DisablingChange, ReductionChange } from '../../activities/features/flag-change.ts';
import type { ClearingChange, FlushChange } from '../../activities/redis/cache-change.ts';
import type { Plan } from '../../contract/plan.ts';
import { clearingCommands, flushCommands } from './last-resort-caches.ts';
import { disablingCommands, readBackCommands, reductionCommands } from './last-resort-features.ts';
import type { CommandsOf } from './shell.ts';

export const featureCommands: Record<string, CommandsOf> = {
  'feature/disable'(change, plan, settings) {
    const disabling = disablingCommands(change as DisablingChange, settings);
    // Where its cache is cleared as well, it is read back after that.
    if (clearingsOf(plan).length > 0) return disabling;
    return [...disabling, ...readBackCommands(change.target, settings)];
  },
  'feature/reduce'(change, plan, settings) {
    const clearing = clearingsOf(plan).flatMap((one) => clearingCommands(one, settings));
    return reductionCommands(change as ReductionChange, settings, clearing);
  },
  'cache/clear'(change, { changes }, settings) {
    // Of a flag that is reduced, it is cleared after each share.
    if (changes.some(({ kind }) => kind === 'feature/reduce')) return [];
    const { system, feature } = (change as ClearingChange).after;
    const clearing = clearingCommands(change as ClearingChange, settings);
    if (system === undefined || feature === undefined) return clearing;
    const flag = { ...change.target, namespace: system, name: feature };
    return [...clearing, ...readBackCommands(flag, settings)];
  },
  'cache/flush': (change, _, settings) => flushCommands(change as FlushChange, settings),
  'cache/flush-all': (change, _, settings) => flushCommands(change as FlushChange, settings),
};

function clearingsOf({ changes }: Plan): ClearingChange[] {
  return changes.filter(({ kind }) => kind === 'cache/clear') as ClearingChange[];
}
