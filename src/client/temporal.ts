import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { CliError, exitCodes, lastResort } from './errors.ts';

/** A start or look-up that takes longer than this is told as slow. */
export const answerWithinMs = 5000;
/** In bytes. Temporal's histories end at 50 MB. */
const longestAnswer = 64 * 1024 * 1024;
// gRPC status codes (grpc/grpc, statuscodes.md).
/** Nothing here cancels a call: the client tells a deadline so where it passes between two tries. */
const cancelled = 1;
const deadlineExceeded = 4;
const permissionDenied = 7;
const failedPrecondition = 9;
const unavailable = 14;
const unauthenticated = 16;

export interface Temporal {
  client: Client;
  address: string;
  namespace: string;
  close(): Promise<void>;
}

/** A client as the Temporal profile file and TEMPORAL_* say; its first call connects. */
export function connectTemporal(): Temporal {
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  const { address = 'localhost:7233', tls, apiKey, metadata } = connectionOptions;
  const connection = Connection.lazy({
    connectTimeout: answerWithinMs,
    address,
    tls,
    apiKey,
    metadata: metadata as Record<string, string>,
    // A page of a history can be longer than the 4 MB that are the default.
    channelArgs: { 'grpc.max_receive_message_length': longestAnswer },
  });
  return {
    client: new Client({ connection, namespace }),
    address,
    namespace,
    close: () => connection.close(),
  };
}

/**
 * Runs a command with a connected client and closes it.
 * @throws {CliError} with the sentence that helps where Temporal does not answer or refuses.
 */
export async function withTemporal(
  command: (temporal: Temporal) => Promise<number>,
): Promise<number> {
  const temporal = connectTemporal();
  try {
    // A call on a connection that never came about would be tried again for half a minute; and a
    // server that was never reached has accepted nothing, which a slow answer leaves open.
    await temporal.client.connection.ensureConnected();
    return await command(temporal);
  } catch (error) {
    throw explain(error, temporal);
  } finally {
    await temporal.close();
  }
}

/** Turns what the Temporal client threw into the sentence that helps; anything else stays as it is. */
export function explain(error: unknown, { address, namespace }: Temporal): unknown {
  const cause = grpcCause(error);
  const code = cause ? Number(cause.code) : undefined;
  // The client tells a connection that never came about by its message alone.
  const notConnected = error instanceof Error && error.message.startsWith('Failed to connect');
  if (notConnected || code === unavailable || isDeadline(error)) {
    return new CliError(
      `Temporal at ${address} does not answer: start it, or set TEMPORAL_ADDRESS or a profile. ${lastResort}`,
      exitCodes.unreachable,
    );
  }
  if (!cause) return error;
  if (code === permissionDenied || code === unauthenticated) {
    return new CliError(
      `Temporal at ${address} does not let you into namespace ${namespace}: check the profile's key or certificate.`,
      exitCodes.unreachable,
    );
  }
  return new CliError(`Temporal at ${address} answers: ${cause.details || cause.message}.`);
}

/**
 * Runs a few calls that are to be answered soon.
 * @throws {CliError} as `withTemporal` does.
 */
export function withDeadline<T>(temporal: Temporal, call: () => Promise<T>): Promise<T> {
  return temporal.client.withDeadline(Date.now() + answerWithinMs, call).catch((error: unknown) => {
    throw explain(error, temporal);
  });
}

/** Whether no worker was there to answer, in time or at all. */
export function isUnanswered(error: unknown): boolean {
  const cause = grpcCause(error);
  // The server says so at once where the last worker has left a moment ago.
  const noPoller =
    Number(cause?.code) === failedPrecondition && cause?.details.includes('no poller') === true;
  return isDeadline(error) || noPoller;
}

/**
 * Whether the server has dropped an update because something else came for the run in the same
 * moment, for example the end of an activity just as the update ends the run.
 */
export function isDropped(error: unknown): boolean {
  const cause = grpcCause(error);
  return (
    Number(cause?.code) === failedPrecondition &&
    cause?.details.includes('workflow task failure') === true
  );
}

/** Whether the error says that the answer did not come in time. */
export function isDeadline(error: unknown): boolean {
  return [cancelled, deadlineExceeded].includes(Number(grpcCause(error)?.code));
}

function grpcCause(error: unknown) {
  const cause = error instanceof Error && error.cause ? error.cause : error;
  return isGrpcServiceError(cause) ? cause : undefined;
}
