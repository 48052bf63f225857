import { condition, defineSignal, scheduleActivity, setHandler } from '@temporalio/workflow';

/**
 * A workflow that somebody who may write to the namespace could run on a worker of their own: it
 * asks the project's workers for one activity, with whatever arguments the signal `ask` has.
 */
export async function forged(activity: string): Promise<unknown> {
  let asked: unknown[] | undefined;
  setHandler(defineSignal<[unknown[]]>('ask'), (args) => {
    asked = args;
  });
  await condition(() => asked !== undefined);
  return scheduleActivity(activity, asked ?? [], {
    taskQueue: 'rollback',
    startToCloseTimeout: '20s',
    retry: { maximumAttempts: 1 },
  });
}
