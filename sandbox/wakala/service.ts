import { timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createOutcomes, versionOf } from './behaviour.ts';
import type { Cluster } from './cluster.ts';
import { featureChange, type Features } from './features.ts';
import type { PodLogs } from './pod-logs.ts';
import type { TrafficWindow } from './traffic-window.ts';

/** What the service works with. */
export interface ServiceParts {
  readonly cluster: Cluster;
  readonly logs: PodLogs;
  readonly window: TrafficWindow;
  readonly features: Features;
  readonly adminToken: string;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}

/**
 * The company's service. `/`, `/health` and all unknown paths are answered as one of the ready pods
 * would, in turn, in the way of its version; figures and flags are not touched by a bad version.
 */
export function createService(parts: ServiceParts): Server {
  const asPod = podAnswers(parts);
  const route = (request: IncomingMessage, path: string): Promise<Answer> | Answer => {
    if (path === '/metrics') return metrics(parts, request);
    if (path === '/admin/features') return changeFeature(parts, request);
    if (path.startsWith('/admin/features/')) {
      return storedFeature(parts, request, path.slice('/admin/features/'.length));
    }
    if (path.startsWith('/features/')) return readFeature(parts, path.slice('/features/'.length));
    return asPod(request.method ?? 'GET', path);
  };
  return createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://wakala').pathname;
    Promise.resolve()
      .then(() => route(request, path))
      .catch((error: unknown) => ({ status: 500, body: { error: String(error) } }))
      .then((answer) => send(response, answer))
      .catch((error: unknown) => console.error(`answer to ${path}: ${String(error)}`));
  });
}

function podAnswers({ cluster, logs, window }: ServiceParts) {
  const outcomeOf = createOutcomes();
  let turn = 0;
  return async (method: string, path: string): Promise<Answer> => {
    const pods = cluster.readyPods();
    const pod = pods[turn++ % Math.max(1, pods.length)];
    if (!pod) return { status: 503, body: { error: 'no pod of wakala-api is ready' } };
    const began = performance.now();
    const { failed, delayMs } = outcomeOf(pod.image);
    if (delayMs > 0) await sleep(delayMs);
    const ms = performance.now() - began;
    const status = failed ? 500 : 200;
    window.record(pod.uid, ms, failed);
    const line = `${method} ${path} ${status} ${ms.toFixed(1)}ms`;
    const version = versionOf(pod.image);
    const headers = { 'x-pod': pod.name, 'x-version': version };
    if (failed) {
      const error = 'unknown column "amount_cents" in table "orders"';
      logs.write(pod.uid, pod.container, 'ERROR', `${line}: ${error}`);
      return { status, headers, body: { error, version, pod: pod.name } };
    }
    logs.write(pod.uid, pod.container, 'INFO', line);
    const extra = path === '/health' ? { status: 'ok' } : {};
    return { status, headers, body: { ...extra, version, pod: pod.name } };
  };
}

function metrics({ cluster, window }: ServiceParts, request: IncomingMessage): Answer {
  const figures = window.metrics(cluster.readyPods());
  // Prometheus asks for text by name; everybody else gets JSON.
  if (!/text\/plain|openmetrics/.test(request.headers.accept ?? '')) {
    return { status: 200, body: figures };
  }
  const lines = Object.entries(figures).map(
    ([name, value]) => `# TYPE wakala_${name} gauge\nwakala_${name} ${value}\n`,
  );
  const headers = { 'content-type': 'text/plain; version=0.0.4' };
  return { status: 200, body: lines.join(''), headers };
}

const notAdmin: Answer = { status: 401, body: { error: 'the bearer token is missing or wrong' } };

function isAdmin({ headers }: IncomingMessage, token: string): boolean {
  return sameText(headers.authorization ?? '', `Bearer ${token}`);
}

async function changeFeature(
  { features, adminToken }: ServiceParts,
  request: IncomingMessage,
): Promise<Answer> {
  if (request.method !== 'PATCH') return { status: 405, body: { error: 'use PATCH' } };
  if (!isAdmin(request, adminToken)) return notAdmin;
  const change = featureChange.safeParse(await readJson(request));
  if (!change.success) {
    const [issue] = change.error.issues;
    const error = `${issue?.path.join('.') || 'body'}: ${issue?.message}`;
    return { status: 400, body: { error } };
  }
  return { status: 200, body: await features.change(change.data) };
}

/** A flag as it is kept, whatever is cached of it. */
async function storedFeature(
  { features, adminToken }: ServiceParts,
  request: IncomingMessage,
  name: string,
): Promise<Answer> {
  if (!isAdmin(request, adminToken)) return notAdmin;
  const found = await features.stored(decodeURIComponent(name));
  if (!found) return { status: 404, body: { error: `there is no feature ${name}` } };
  return { status: 200, body: found };
}

async function readFeature({ features }: ServiceParts, name: string): Promise<Answer> {
  const found = await features.read(decodeURIComponent(name));
  if (!found) return { status: 404, body: { error: `there is no feature ${name}` } };
  const headers = { 'x-cache': found.cached ? 'hit' : 'miss' };
  return { status: 200, body: found.feature, headers };
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(request, 'end');
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
}

function sameText(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
