/**
 * The Kubernetes API as plain JSON. The generated client's models drop fields that they do not
 * know, and a restored template must equal the recorded one field by field; so this speaks REST
 * itself and takes from @kubernetes/client-node what is hard: kubeconfig, TLS and authentication.
 */
import type { KubeConfig, V1Preconditions } from '@kubernetes/client-node';
import { HttpMethod, RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { fetch, type RequestInit, type Response, WebSocket } from 'undici';
import { Connections } from './connections.ts';
import { Discovery } from './discovery.ts';
import { loadKubeconfig } from './kubeconfig.ts';

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

/** A list stands in the address once for each of its items. */
export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

/** Name under which the API server records what this project changes. */
export const fieldManager = 'rollback-workflows';

/** Representations that leave the contents out, so that they never reach this process. */
export const metadataOnly = {
  object: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
  list: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
} as const;

/** A server that is there answers far sooner; a request that hangs must not outlive its activity. */
const requestTimeoutMs = 10_000;

export class Cluster {
  readonly context: string;
  readonly server: string;
  private readonly config: KubeConfig;
  private readonly discovery = new Discovery(this);
  private readonly connections: Connections;

  constructor(config: KubeConfig) {
    const cluster = config.getCurrentCluster();
    this.config = config;
    this.connections = new Connections(config);
    this.context = config.getCurrentContext();
    this.server = cluster?.server ?? '';
  }

  /** GET of one object or list. `accept` asks for another representation, such as metadata only. */
  async get<T>(path: string, query: Query = {}, accept = 'application/json'): Promise<T> {
    const response = await this.send(path, query, { method: 'GET', headers: { accept } });
    return this.read<T>(response);
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
    const response = await this.send(path, query, { method: 'GET' });
    return this.whole(() => response.text());
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
    return this.read<T>(response);
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
    return this.read<T>(response);
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

  /** A WebSocket that speaks one of `protocols`, still to be opened by the server. */
  async socket(path: string, query: Query, protocols: string[]): Promise<WebSocket> {
    const url = this.address(path, query);
    const authentication = await this.authenticate(url);
    const { forSockets } = await this.connections.current(authentication);
    return new WebSocket(url.toString().replace(/^http/, 'ws'), {
      ...{ protocols, headers: authentication.getHeaders(), dispatcher: forSockets },
    });
  }

  private address(path: string, query: Query): URL {
    const url = new URL(this.server + path);
    for (const [key, value] of Object.entries(query)) {
      const values = Array.isArray(value) ? value : [value];
      for (const each of values) {
        if (each !== undefined) url.searchParams.append(key, String(each));
      }
    }
    return url;
  }

  private async authenticate(url: URL): Promise<RequestContext> {
    const authentication = new RequestContext(url.toString(), HttpMethod.GET);
    await this.config.applySecurityAuthentication(authentication);
    return authentication;
  }

  private async send(
    path: string,
    query: Query,
    init: RequestInit,
    signal?: AbortSignal,
  ): Promise<Response> {
    const served = await this.discovery.served(path);
    if (served === undefined) {
      throw new KubernetesError(404, 'NotFound', `${this.server} does not serve ${path}.`);
    }
    const url = this.address(served, query);
    const authentication = await this.authenticate(url);
    const { forRequests } = await this.connections.current(authentication);
    let response: Response;
    try {
      response = await fetch(url, {
        ...init,
        headers: { ...authentication.getHeaders(), ...(init.headers as Record<string, string>) },
        dispatcher: forRequests,
        signal: signal ?? AbortSignal.timeout(requestTimeoutMs),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw this.unreachable(error);
    }
    if (response.ok) return response;
    throw await this.whole(() => errorOf(response));
  }

  private read<T>(response: Response): Promise<T> {
    return this.whole(async () => (await response.json()) as T);
  }

  /** Reads an answer to its end; one that is cut off on its way is none. */
  private async whole<T>(reading: () => Promise<T>): Promise<T> {
    try {
      return await reading();
    } catch (error) {
      throw this.unreachable(error);
    }
  }

  private unreachable(error: unknown): KubernetesUnreachable {
    const cause = (error as { cause?: { code?: string; message?: string } }).cause;
    return new KubernetesUnreachable(
      `Kubernetes (context ${this.context}, ${this.server}) does not answer: ${cause?.code ?? cause?.message ?? String(error)}.`,
      { cause: error },
    );
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
