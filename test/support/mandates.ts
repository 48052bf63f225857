import type { Change, Mandate } from '../../src/contract/plan.ts';

/** A mandate for an activity that is called without the guard, which is what looks at the rest. */
export function mandateFor<C extends Change>(change: C): Mandate<C> {
  return {
    ...{ change, undo: false, plan: { targets: [change.target], changeHashes: [], digest: '' } },
    run: { workflowId: 'run', firstRunId: 'run' },
    authority: { seal: '', approvals: [] },
  };
}
