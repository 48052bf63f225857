import type { Context } from '@temporalio/activity';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { toFailure } from '../activities/failures.ts';
import { withHeartbeats } from '../activities/progress.ts';
import { Guard, type GuardParts } from './guard.ts';

/** What surrounds every activity, outermost first: typed failures, heartbeats, the guard. */
export function activityInterceptors(parts: GuardParts): ActivityInterceptorsFactory[] {
  return [
    () => ({
      inbound: {
        async execute(input, next) {
          try {
            return await next(input);
          } catch (error) {
            throw toFailure(error);
          }
        },
      },
    }),
    (context: Context) => ({
      inbound: { execute: (input, next) => withHeartbeats(context, () => next(input)) },
    }),
    (context: Context) => ({ inbound: new Guard(context, parts) }),
  ];
}
