/**
 * The Kubernetes API as plain JSON. The generated client's models drop fields that they do not
 * know, and a restored template must equal the recorded one field by field; so this speaks REST
 * itself and takes from @kubernetes/client-node what is hard: kubeconfig, TLS and authentication.
 */
import type { AgentOptions, RequestOptions } from 'node:https';
import { KubeConfig, type V1Preconditions } from '@kubernetes/client-node';
import { HttpMethod, RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { Agent, fetch, type Dispatcher, type RequestInit, type Response } from 'undici';

/** An object of the client's types as it looks on the wire: times are strings. */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { [Key in keyof T]: Wire<T[Key]> }
      : T;

/** An answer of the API server other than 2xx. `status` is the HTTP status. */
export class KubernetesError extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** The API server could not be reached or did not answer in time. */
export class KubernetesUnreachable extends Error {}

/** The kubeconfig is missing, broken, or has no such context. */
export class KubeconfigError extends Error {}

export interface JsonPatchOperation {
  op: 'test' | 'add' | 'replace' | 'remove';
  path: string;
  value?: unknown;
}

export interface ListOf<Item> {
  metadata: { resourceVersion: string };
  items: Item[];
}

export interface WatchEvent<Item> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: Item;
}

type Query = Record<string, string | number | boolean | undefined>;

/** Name under which the API server records what this project changes. */
export const fieldManager = 'rollback-workflows';

/** A server that is there answers far sooner; a request that hangs must not outlive its activity. */
const requestTimeoutMs = 10_000;
/** Connections are kept this long before certificates and proxies are read anew. */
const dispatcherLifeMs = 300_000;
/** A worker that waits for work keeps its connection: a new one costs more than a request. */
const keepAliveMs = 60_000;

export class Cluster {
  readonly context: string;
  readonly server: string;
  private readonly config: KubeConfig;
  private dispatcher: { made: number; it: Dispatcher | undefined } | undefined;

  constructor(config: KubeConfig) {
    const cluster = config.getCurrentCluster();
    this.config = config;
    this.context = config.getCurrentContext();
    this.server = cluster?.server ?? '';
  }

  /** GET of one object or list. `accept` asks for another representation, such as metadata only. */
  async get<T>(path: string, query: Query = {}, accept = 'application/json'): Promise<T> {
    const response = await this.send(path, query, { method: 'GET', headers: { accept } });
    return (await response.json()) as T;
  }

  /** GET of an object that may be missing; also undefined where its kind is not installed. */
  async find<T>(path: string, query: Query = {}): Promise<T | undefined> {
    try {
      return await this.get<T>(path, query);
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** GET of plain text, such as a pod's log. */
  async text(path: string, query: Query = {}): Promise<string> {
    return (await this.send(path, query, { method: 'GET' })).text();
  }

  /** Applies a JSON patch; its `test` operations make it refuse on a changed world (status 422). */
  async patch<T>(path: string, operations: JsonPatchOperation[]): Promise<T> {
    const response = await this.send(
      path,
      { fieldManager },
      {
        method: 'PATCH',
        headers: { 'content-type': 'application/json-patch+json', accept: 'application/json' },
        body: JSON.stringify(operations),
      },
    );
    return (await response.json()) as T;
  }

  /** POST of an object, for example an access review. */
  async create<T>(path: string, object: unknown): Promise<T> {
    const response = await this.send(
      path,
      { fieldManager },
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(object),
      },
    );
    return (await response.json()) as T;
  }

  /**
   * Deletes exactly this object, as it was read; what it owns goes after it. Refuses with 409 where it
   * has changed since, and with 404 where it is gone.
   */
  async delete(path: string, { uid, resourceVersion }: V1Preconditions): Promise<void> {
    await this.send(
      path,
      { fieldManager },
      {
        method: 'DELETE',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({
          preconditions: { uid, resourceVersion },
          propagationPolicy: 'Background',
        }),
      },
    );
  }

  /**
   * Events of a watch from `resourceVersion` on, until the server closes it or `signal` aborts.
   * The caller lists again and watches on; a watch that is too old ends with a KubernetesError 410.
   */
  async *watch<T>(
    path: string,
    query: Query,
    resourceVersion: string,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>> {
    const response = await this.send(
      path,
      { ...query, watch: true, resourceVersion, allowWatchBookmarks: true, timeoutSeconds: 240 },
      { method: 'GET', headers: { accept: 'application/json' } },
      signal,
    );
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const event = JSON.parse(line) as WatchEvent<T>;
        if (event.type === 'ERROR') {
          const status = event.object as { code?: number; reason?: string; message?: string };
          throw new KubernetesError(status.code ?? 500, status.reason ?? '', status.message ?? '');
        }
        yield event;
      }
    }
  }

  private async send(
    path: string,
    query: Query,
    init: RequestInit,
    signal?: AbortSignal,
  ): Promise<Response> {
    const url = new URL(this.server + path);
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const authentication = new RequestContext(url.toString(), HttpMethod.GET);
    await this.config.applySecurityAuthentication(authentication);
    const dispatcher = await this.currentDispatcher(authentication);
    let response: Response;
    try {
      response = await fetch(url, {
        ...init,
        headers: { ...authentication.getHeaders(), ...(init.headers as Record<string, string>) },
        dispatcher,
        signal: signal ?? AbortSignal.timeout(requestTimeoutMs),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      const cause = (error as { cause?: { code?: string; message?: string } }).cause;
      throw new KubernetesUnreachable(
        `Kubernetes (context ${this.context}, ${this.server}) does not answer: ${cause?.code ?? cause?.message ?? String(error)}.`,
        { cause: error },
      );
    }
    if (response.ok) return response;
    throw await errorOf(response);
  }

  /**
   * One HTTP/2 connection for all requests and watches. The client library makes a dispatcher for
   * every request, each with a TLS handshake of its own; it is taken only where there is a proxy.
   */
  private async currentDispatcher(authentication: RequestContext): Promise<Dispatcher | undefined> {
    const now = Date.now();
    if (this.dispatcher && now - this.dispatcher.made < dispatcherLifeMs) return this.dispatcher.it;
    const tls: AgentOptions & RequestOptions = {};
    await this.config.applyToHTTPSOptions(tls);
    const options = this.config.createDispatcherOptions(this.config.getCurrentCluster(), tls);
    const it =
      options.type === 'agent'
        ? new Agent({
            connect: { ...options.connect, preferH2: true },
            allowH2: true,
            connections: 1,
            pipelining: 100,
            keepAliveTimeout: keepAliveMs,
          })
        : authentication.getDispatcher();
    this.dispatcher = { made: now, it };
    return it;
  }
}

async function errorOf(response: Response): Promise<KubernetesError> {
  const body = await response.text();
  try {
    const status = JSON.parse(body) as { reason?: string; message?: string };
    return new KubernetesError(response.status, status.reason ?? '', status.message ?? body);
  } catch {
    return new KubernetesError(response.status, response.statusText, body.slice(0, 500));
  }
}

/**
 * The clusters that the kubeconfig names, made once each.
 * Outside a cluster the kubeconfig is found as kubectl finds it; inside one, the service account.
 */
export class Clusters {
  private readonly made = new Map<string, Cluster>();
  private readonly defaultContext: string | undefined;

  constructor(defaultContext?: string) {
    this.defaultContext = defaultContext;
  }

  /**
   * The cluster of `context`, or of the default one.
   * @throws {KubeconfigError} where there is no kubeconfig or no such context.
   */
  of(context: string | undefined): Cluster {
    const wanted = context ?? this.defaultContext;
    const key = wanted ?? '';
    const known = this.made.get(key);
    if (known) return known;
    const loaded = new Cluster(loadKubeconfig(wanted));
    // The default context and its name are one cluster with one connection.
    const cluster = this.made.get(loaded.context) ?? loaded;
    this.made.set(key, cluster).set(cluster.context, cluster);
    return cluster;
  }
}

function loadKubeconfig(context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch (error) {
    throw new KubeconfigError(
      `The kubeconfig cannot be read (${(error as Error).message}): set KUBECONFIG to a valid file.`,
    );
  }
  const contexts = config.getContexts().map(({ name }) => name);
  if (context !== undefined) {
    if (!contexts.includes(context)) {
      throw new KubeconfigError(
        `The kubeconfig has no context "${context}": it has ${contexts.join(', ') || 'none'}.`,
      );
    }
    config.setCurrentContext(context);
  }
  // Without any kubeconfig the client falls back to http://localhost:8080, which is never meant.
  if (!config.getCurrentCluster() || config.getCurrentContext() === 'loaded-context') {
    throw new KubeconfigError(
      'There is no kubeconfig with a current context: set KUBECONFIG, or name a context.',
    );
  }
  return config;
}
