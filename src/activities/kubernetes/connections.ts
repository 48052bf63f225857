/** Connections to one API server, shared by all that asks it. */
import type { AgentOptions, RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { Agent, type Dispatcher } from 'undici';

/** Connections are kept this long before certificates and proxies are read anew. */
const dispatcherLifeMs = 300_000;
/** A worker that waits for work keeps its connection: a new one costs more than a request. */
const keepAliveMs = 60_000;

interface Dispatchers {
  made: number;
  forRequests: Dispatcher | undefined;
  forSockets: Dispatcher;
}

export class Connections {
  private readonly config: KubeConfig;
  private dispatchers: Dispatchers | undefined;

  constructor(config: KubeConfig) {
    this.config = config;
  }

  /**
   * One HTTP/2 connection for all requests and watches, and one of HTTP/1.1 for each WebSocket, which
   * API servers do not take over HTTP/2. The client library makes a dispatcher for every request, each
   * with a TLS handshake of its own; it is taken only where there is a proxy.
   */
  async current(authentication: RequestContext): Promise<Dispatchers> {
    const now = Date.now();
    if (this.dispatchers && now - this.dispatchers.made < dispatcherLifeMs) return this.dispatchers;
    const tls: AgentOptions & RequestOptions = {};
    await this.config.applyToHTTPSOptions(tls);
    const options = this.config.createDispatcherOptions(this.config.getCurrentCluster(), tls);
    const connect = options.type === 'agent' ? options.connect : undefined;
    const viaProxy = authentication.getDispatcher();
    const forRequests =
      options.type === 'agent'
        ? new Agent({
            connect: { ...connect, preferH2: true },
            allowH2: true,
            connections: 1,
            pipelining: 100,
            keepAliveTimeout: keepAliveMs,
          })
        : viaProxy;
    const forSockets =
      options.type === 'agent' || !viaProxy ? new Agent({ connect, allowH2: false }) : viaProxy;
    this.dispatchers = { made: now, forRequests, forSockets };
    return this.dispatchers;
  }
}
