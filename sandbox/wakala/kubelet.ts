import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request as httpsRequest, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import type { Cluster } from './cluster.ts';
import { commandInFolders } from './containers.ts';
import type { LogLine, PodLogs } from './pod-logs.ts';

/** What the kubelet's port works with. */
export interface KubeletParts {
  readonly cluster: Cluster;
  readonly logs: PodLogs;
  /** Files of the certificate to serve with, and its key. */
  readonly cert: string;
  readonly key: string;
  /** Where kwok answers everything but logs. */
  readonly kwokPort: number;
  /** Folder for the files of all containers. */
  readonly containers: string;
}

/**
 * The port where the API server looks for the node's kubelet: answers `kubectl logs` with what the
 * pods have logged here, and passes all else (exec, attach ...) on to kwok.
 */
export function createKubelet(parts: KubeletParts): Server {
  const tls = { cert: readFileSync(parts.cert), key: readFileSync(parts.key) };
  const server = createServer(tls, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://kubelet');
    const [, kind, namespace = '', pod = '', container = ''] = url.pathname.split('/');
    if (kind !== 'containerLogs') return passOn(parts.kwokPort, request, response);
    answerLogs(parts, { namespace, pod, container, options: url.searchParams }, response);
  });
  server.on('upgrade', (request, socket, head) => {
    const path = pathAtKwok(parts, request.url ?? '/');
    if (path !== undefined) return tunnel(parts.kwokPort, path, request, socket, head);
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
  });
  return server;
}

interface LogRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly options: URLSearchParams;
}

function answerLogs(
  { cluster, logs }: KubeletParts,
  { namespace, pod: name, container, options }: LogRequest,
  response: ServerResponse,
): void {
  const refuse = (status: number, text: string) => {
    response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
  };
  const pod = cluster.pod(namespace, name);
  const uid = pod?.metadata?.uid ?? '';
  const state = pod?.status?.containerStatuses?.find((each) => each.name === container);
  if (!pod) return refuse(404, `pod "${name}" in namespace "${namespace}" not found`);
  if (options.get('previous') === 'true' && !state?.lastState?.terminated) {
    return refuse(400, `previous terminated container "${container}" in pod "${name}" not found`);
  }
  const lines = logs.read(uid, container, {
    since: sinceOf(options),
    tail: number(options, 'tail'),
  });
  if (!lines) {
    const reason = state?.state?.waiting?.reason ?? 'ContainerCreating';
    const waiting = `container "${container}" in pod "${name}" is waiting to start: ${reason}`;
    return refuse(400, waiting);
  }
  const stream = limited(
    response,
    number(options, 'limitBytes'),
    options.get('timestamps') === 'true',
  );
  response.writeHead(200, { 'content-type': 'text/plain', 'transfer-encoding': 'chunked' });
  response.flushHeaders();
  for (const line of lines) stream(line);
  if (options.get('follow') !== 'true') {
    response.end();
    return;
  }
  response.on(
    'close',
    logs.follow(uid, container, stream, () => response.end()),
  );
}

/** Writes lines until so many bytes are written, and then ends the answer. */
function limited(
  response: ServerResponse,
  limitBytes: number | undefined,
  timestamps: boolean,
): (line: LogLine) => void {
  let left = limitBytes ?? Infinity;
  return ({ at, text }) => {
    if (left <= 0) return;
    const stamp = timestamps ? `${new Date(at).toISOString()} ` : '';
    const bytes = Buffer.from(`${stamp}${text}\n`).subarray(0, left);
    left -= bytes.length;
    response.write(bytes);
    if (left <= 0) response.end();
  };
}

function sinceOf(options: URLSearchParams): number | undefined {
  const time = options.get('sinceTime');
  if (time) return Date.parse(time);
  const seconds = number(options, 'sinceSeconds');
  return seconds === undefined ? undefined : Date.now() - seconds * 1000;
}

function number(options: URLSearchParams, name: string): number | undefined {
  const key = name === 'tail' ? 'tailLines' : name;
  const text = options.get(key);
  return text === null ? undefined : Number(text);
}

function passOn(port: number, request: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url: path } = request;
  const options = { host: '127.0.0.1', port, path, method, headers, rejectUnauthorized: false };
  const onward = httpsRequest(options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', (error) => response.writeHead(502).end(`kwok: ${error.message}`));
  request.pipe(onward);
}

/**
 * What to ask kwok for: a command in a container is run in that container's own folders. Undefined
 * for a pod that is not known here, whose command would be run in this machine's.
 */
function pathAtKwok({ cluster, containers }: KubeletParts, path: string): string | undefined {
  const url = new URL(path, 'https://kubelet');
  const [, kind, namespace = '', name = '', container = ''] = url.pathname.split('/');
  if (kind !== 'exec') return path;
  const pod = cluster.pod(namespace, name);
  if (!pod) return undefined;
  const command = url.searchParams.getAll('command');
  url.searchParams.delete('command');
  for (const word of commandInFolders(containers, pod, container, command)) {
    url.searchParams.append('command', word);
  }
  return url.pathname + url.search;
}

/** Joins two connections, for protocols that HTTP is only the beginning of. */
function tunnel(
  port: number,
  path: string,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const onward = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
    const headers: string[] = [];
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      headers.push(`${request.rawHeaders[index]}: ${request.rawHeaders[index + 1]}`);
    }
    const first = `${request.method} ${path} HTTP/${request.httpVersion}`;
    onward.write([first, ...headers, '', ''].join('\r\n'));
    onward.write(head);
    onward.pipe(socket).pipe(onward);
  });
  // Messages of a few bytes each would wait 40 ms for an acknowledgement, which a kubelet's do not.
  onward.setNoDelay(true);
  const end = () => {
    onward.destroy();
    socket.destroy();
  };
  onward.on('error', end);
  socket.on('error', end);
}
