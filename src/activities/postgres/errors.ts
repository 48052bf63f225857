/** What errors of PostgreSQL mean. */
import { ApplicationFailure } from '@temporalio/common';
import type { DatabaseError } from 'pg';
import { failureTypes } from '../../contract/failures.ts';

/** Does not answer, or not now: trying again helps. The message says which server, and never an account. */
export class DatabaseUnreachable extends Error {
  override name = 'DatabaseUnreachable';
}

/** Shutting down, starting up, or without a free connection (PostgreSQL, appendix A: error codes). */
export function isAway({ code = '' }: DatabaseError): boolean {
  return code.startsWith('08') || /^57P0[123]$/.test(code) || code === '53300';
}

/** Whether the role may not. */
export function isForbidden(error: unknown): boolean {
  return (error as Partial<DatabaseError>).code === '42501';
}

/** A message about a value that is wrong, without that value: it may be a row's. */
export function withoutQuoted(message: string): string {
  return message.replace(/"[^]*$/, '…');
}

/**
 * What PostgreSQL says, without its detail and, where data is wrong (class 22), without values: they may
 * be rows. (PostgreSQL, appendix A: error codes.)
 */
export function saidBy({ code = '', message }: DatabaseError): string {
  return `${code}: ${code.startsWith('22') ? withoutQuoted(message) : message}`;
}

/** What an error that PostgreSQL has answered means. */
export function databaseFailure(error: DatabaseError): ApplicationFailure {
  const { code = '' } = error;
  const said = `PostgreSQL answers ${saidBy(error)}`;
  const final = (type: string, text: string) => ApplicationFailure.nonRetryable(text, type);
  if (code.startsWith('28')) {
    const remedy = "Check account and password in the database's address, on the worker.";
    return final(failureTypes.forbidden, `${said}. ${remedy}`);
  }
  if (isForbidden({ code })) {
    return final(
      failureTypes.forbidden,
      `${said}. Give the worker's role deploy/postgres-role.sql.`,
    );
  }
  if (code === '53100') {
    return final(failureTypes.rejectedBySystem, `${said}. Make room on the server's disk.`);
  }
  // Serialization, deadlock, lock not available, object in use, statement time-out: others were faster.
  if (['40001', '40P01', '55P03', '55006', '57014', '25P03'].includes(code)) {
    return ApplicationFailure.retryable(said, failureTypes.unreachable);
  }
  return final(failureTypes.rejectedBySystem, `${said}.`);
}
