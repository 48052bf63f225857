import { scheduleActivity } from '@temporalio/workflow';

/**
 * A workflow that somebody who may write to the namespace could run on a worker of their own: it
 * asks the project's workers for one activity, with whatever argument.
 */
export async function forged(activity: string, ...args: unknown[]): Promise<unknown> {
  return scheduleActivity(activity, args, {
    taskQueue: 'rollback',
    startToCloseTimeout: '20s',
    retry: { maximumAttempts: 1 },
  });
}
