/** What Redis says when it says no, without what it was sent: commands have passwords in them. */
import { types } from 'node:util';

/** A cache that does not answer, or says that it cannot now. */
export class CacheUnreachable extends Error {}

/** A cache that says no. `code` is the first word of its answer, such as `NOPERM`. */
export class CacheError extends Error {
  readonly code: string;
  /** What to renew where the cache does not believe who asks. */
  readonly setting: string;

  constructor(code: string, setting: string, message: string) {
    super(message);
    this.code = code;
    this.setting = setting;
  }
}

/** Answers that pass by themselves: a server that starts, fails over or moves its keys. */
const passing = [
  ...['LOADING', 'MASTERDOWN', 'CLUSTERDOWN', 'TRYAGAIN', 'MOVED', 'ASK', 'BUSY'],
  // Of a master that has just become a replica, or has lost its own.
  ...['READONLY', 'NOREPLICAS'],
];
/** Answers that say that the credentials are missing, wrong or not enough. */
export const forbiddenCodes = ['NOAUTH', 'WRONGPASS', 'NOPERM'];

/** An error of the client as one of the cache `name` at `address`; others stay as they are. */
export function asCacheError(error: unknown, name: string, address: string): unknown {
  if (!types.isNativeError(error)) return error;
  // The client calls a command aborted whose connection is closed under it; all others are of the run.
  if (error.name === 'AbortError' && !isClosed(error)) return error;
  // What a master has said, it has said with its own address.
  if (error instanceof CacheUnreachable || error instanceof CacheError) return error;
  const cause = lastNodeError(error) ?? error;
  const where = `Cache ${name} at ${address}`;
  if (cause.name === 'ReplyError') {
    // To a command that it does not know, Redis repeats all that it was sent.
    const message = cause.message.replace(/, with args.*$/s, '');
    const [code = ''] = message.split(' ');
    if (passing.includes(code)) {
      return new CacheUnreachable(`${where} cannot do it now: ${message}`);
    }
    return new CacheError(code, `caches.${name}`, `${where} answers: ${message}`);
  }
  if (!isOfConnection(cause)) return error;
  const { code } = cause as NodeJS.ErrnoException;
  return new CacheUnreachable(`${where} does not answer (${code ?? cause.message})`);
}

/** Whether an error says no more than that there is no connection any more. */
export function isClosed(error: unknown): boolean {
  return (
    types.isNativeError(error) &&
    /connection is closed|due to connection close|none of startup nodes|cluster is ended/i.test(
      error.message,
    )
  );
}

/** Of all nodes of a cluster, the client tells the last one's error. */
function lastNodeError(error: Error): Error | undefined {
  const { lastNodeError: last } = error as { lastNodeError?: unknown };
  return types.isNativeError(last) ? last : undefined;
}

function isOfConnection(error: Error): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return (
    syscall !== undefined ||
    code !== undefined ||
    isClosed(error) ||
    /command timed out|etimedout|sentinels are unreachable|failed to refresh slots|stream isn't writeable|max retries per request/i.test(
      error.message,
    )
  );
}
