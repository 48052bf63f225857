import type { Asking } from '../../authority/ask-people.ts';
import type { Decisions } from './decisions.ts';
import { isOutcome } from './outcome.ts';
import { people } from './proxies.ts';

/**
 * Tells people that a run waits for them, without holding it up; that nobody could be told must not
 * fail it.
 */
export function tellPeople(
  { identity: run, authorization: authority }: Decisions,
  about: Pick<Asking, 'plan' | 'reminder' | 'paused'>,
): void {
  people.ask({ run, authority, ...about }).catch((error: unknown) => {
    if (!isOutcome(error)) throw error;
  });
}
