/** What a message says, whoever sent it and whatever it is. */
import {
  decisionNames,
  quoted,
  type DecisionMessage,
  type DecisionName,
} from '../../contract/decision.ts';
import { readToken, type ReadToken } from './token.ts';

/** The decision that a message names; undefined where it names none. */
export function nameIn(message: unknown): DecisionName | undefined {
  const { decision } = (message ?? {}) as DecisionMessage;
  return decisionNames.find((name) => name === decision);
}

/** An abort that names no step is one of the run, whatever it is at. */
export function isAboutWholeRun(name: DecisionName, message: DecisionMessage | undefined): boolean {
  return name === 'abort' && message?.step === undefined;
}

/** The token in a message, unproved. */
export function tokenIn(message: unknown): ReadToken | undefined {
  return readToken((message as DecisionMessage | null | undefined)?.token);
}

/** Whom a token claims to be from; for records of what did not count. */
export function claimedBy(token: ReadToken | undefined): string {
  const sub: unknown = token?.claims.sub;
  return typeof sub === 'string' ? `${quoted(sub)} (not proved)` : 'unknown';
}
