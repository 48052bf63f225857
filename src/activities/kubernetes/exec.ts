/**
 * Commands in containers, as `kubectl exec` runs them: over a WebSocket to the API server, whose
 * messages begin with the number of a channel. A command is a list of arguments, never a shell line.
 */
import type { V1Status } from '@kubernetes/client-node';
import { ping, type WebSocket } from 'undici';
import { type Cluster, KubernetesError, KubernetesUnreachable, type Query } from './api.ts';
import { podsPath } from './pods.ts';

/** Where a command runs. */
export interface Container {
  namespace: string;
  pod: string;
  container: string;
}

export interface Ended {
  /** The command's own; `notStarted` where the container has no such program. */
  exitCode: number;
  /** The first 64 KiB. */
  stdout: string;
  /** The first 64 KiB; the container runtime's words where the command was not started. */
  stderr: string;
}

/** As a shell says that there is no such program. */
export const notStarted = 127;

/** Newest first; they differ only in how an end of input is told, and there is none here. */
const protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
const channels = { stdout: 1, stderr: 2, status: 3 } as const;
const keptBytes = 65_536;
/** A command that says nothing for a minute must not have its connection closed by who is between. */
const pingEveryMs = 15_000;
const openWithinMs = 10_000;

/**
 * Runs a command in a container to its end.
 *
 * Where the connection is cut, or `signal` aborts, the command may go on in the container: whoever
 * calls this must be able to live with it.
 * @param onOutput is given all of stdout; then nothing of it is kept
 * @throws {KubernetesError} where the API server refuses it, for example for a pod that is gone.
 * @throws {KubernetesUnreachable} where the connection is cut before the command has ended.
 */
export async function runInContainer(
  cluster: Cluster,
  where: Container,
  command: readonly string[],
  signal: AbortSignal,
  onOutput?: (chunk: Buffer) => void,
): Promise<Ended> {
  signal.throwIfAborted();
  const path = `${podsPath(where.namespace)}/${where.pod}/exec`;
  const query = { container: where.container, command, stdout: true, stderr: true };
  const socket = await cluster.socket(path, query, protocols);
  socket.binaryType = 'arraybuffer';
  const stdout = new Kept();
  const stderr = new Kept();
  let status: V1Status | undefined;
  socket.onmessage = ({ data }) => {
    const message = Buffer.from(data as ArrayBuffer);
    const contents = message.subarray(1);
    if (message[0] === channels.stdout) (onOutput ?? stdout.add)(contents);
    else if (message[0] === channels.stderr) stderr.add(contents);
    else if (message[0] === channels.status) status = JSON.parse(contents.toString()) as V1Status;
  };
  const opened = await untilClosed(socket, signal);
  if (!opened) throw await whyRefused(cluster, path, query, where);
  if (!status) {
    throw new KubernetesUnreachable(
      `The connection to pod ${where.pod} in ${where.namespace} was cut while ${command[0]} ran there.`,
    );
  }
  const exitCode = exitCodeOf(status);
  if (exitCode !== undefined) return { exitCode, stdout: stdout.text, stderr: stderr.text };
  return { exitCode: notStarted, stdout: '', stderr: status.message ?? 'not started' };
}

/** Waits for the end of a connection; answers whether it was ever open. */
async function untilClosed(socket: WebSocket, signal: AbortSignal): Promise<boolean> {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let opened = false;
  const tooLate = setTimeout(() => socket.close(), openWithinMs);
  const alive = setInterval(() => {
    if (opened) ping(socket);
  }, pingEveryMs);
  const abort = () => {
    socket.close();
    resolve();
  };
  socket.onopen = () => {
    opened = true;
    clearTimeout(tooLate);
  };
  // An error is always followed by a close, and says nothing of its cause.
  socket.onerror = () => undefined;
  socket.onclose = () => resolve();
  signal.addEventListener('abort', abort);
  try {
    await closed;
  } finally {
    signal.removeEventListener('abort', abort);
    clearTimeout(tooLate);
    clearInterval(alive);
  }
  signal.throwIfAborted();
  return opened;
}

/**
 * Why the API server did not open the connection, which a WebSocket does not tell: the same request
 * without it is refused for the same reason.
 */
async function whyRefused(
  cluster: Cluster,
  path: string,
  query: Query,
  { namespace, pod }: Container,
): Promise<Error> {
  try {
    await cluster.get(path, query);
  } catch (error) {
    const onlyForSockets = error instanceof KubernetesError && /upgrade/i.test(error.message);
    if (error instanceof Error && !onlyForSockets) return error;
  }
  return new KubernetesUnreachable(
    `No command can be run in pod ${pod} in ${namespace}: its node does not answer, what is between does not let WebSockets through, or the worker may not create pods/exec (deploy/kubernetes-role.yaml).`,
  );
}

/** The command's exit code; undefined where it was not started. */
function exitCodeOf({ status, message = '', details }: V1Status): number | undefined {
  if (status === 'Success') return 0;
  const cause = details?.causes?.find(({ reason }) => reason === 'ExitCode');
  // Kubelets that are none, such as virtual ones, put Go's own words into the message.
  const code = cause?.message ?? /exit status (\d+)$/.exec(message)?.[1];
  return code === undefined ? undefined : Number(code);
}

/** The beginning of an output. */
class Kept {
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  readonly add = (chunk: Buffer): void => {
    if (this.bytes >= keptBytes) return;
    this.chunks.push(chunk);
    this.bytes += chunk.length;
  };
  get text(): string {
    return Buffer.concat(this.chunks).subarray(0, keptBytes).toString();
  }
}
