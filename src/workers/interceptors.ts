import type { Context } from '@temporalio/activity';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { toFailure } from '../activities/failures.ts';
import { inWords } from '../activities/kubernetes/objects.ts';
import { withHeartbeats } from '../activities/progress.ts';
import type { Mandate } from '../contract/plan.ts';
import { Guard, type GuardParts } from './guard.ts';
import { LongRetries } from './long-retries.ts';
import { asLast, isLastAttempt } from './last-attempt.ts';

/** What surrounds every activity, outermost first: typed failures, heartbeats, the guard. */
export function activityInterceptors(parts: GuardParts): ActivityInterceptorsFactory[] {
  const retries = new LongRetries(parts.authority);
  return [
    ({ info }: Context) => ({
      inbound: {
        async execute(input, next) {
          const began = performance.now();
          try {
            const result = await next(input);
            retries.ended(info);
            return result;
          } catch (error) {
            const failure = toFailure(error);
            await retries.failed(info, failure);
            throw isLastAttempt(info, performance.now() - began) ? asLast(failure) : failure;
          }
        },
      },
    }),
    (context: Context) => ({
      inbound: {
        execute(input, next) {
          const { change } = (input.args[0] ?? {}) as Partial<Mandate>;
          const about = change && inWords(change.target);
          return withHeartbeats(context, about, () => next(input));
        },
      },
    }),
    (context: Context) => ({ inbound: new Guard(context, parts) }),
  ];
}
