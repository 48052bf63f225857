import {
  condition,
  defineSignal,
  defineUpdate,
  scheduleActivity,
  setHandler,
} from '@temporalio/workflow';

/**
 * A workflow that somebody who may write to the namespace could run on a worker of their own: it
 * asks the project's workers for the activities that the update `ask` names, until it is told to end.
 */
export async function forged(): Promise<void> {
  let ended = false;
  setHandler(defineUpdate<unknown, [string, unknown[]]>('ask'), (activity, args) =>
    scheduleActivity(activity, args, {
      taskQueue: 'rollback',
      startToCloseTimeout: '20s',
      retry: { maximumAttempts: 1 },
    }),
  );
  setHandler(defineSignal('end'), () => {
    ended = true;
  });
  await condition(() => ended);
}
