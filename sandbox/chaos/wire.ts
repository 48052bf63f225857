/**
 * What a worker and a server say to each other, seen from between them: a proxy for HTTP/2, which
 * Kubernetes and Temporal both speak. It can hold a request back, lose it, or lose its answer, so
 * that a worker is hurt at any point without a word about it in its own code.
 */
import { once } from 'node:events';
import {
  connect,
  constants,
  createSecureServer,
  createServer,
  type ClientHttp2Session,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** One request, named so that the same one is known again in another run of the same procedure. */
export interface Exchange {
  /** Name of the server that is asked. */
  server: string;
  /** What is asked of it, without what differs from run to run. */
  what: string;
  /** Counts the exchanges of this name from 1. */
  nth: number;
  /** Whether it may change something there. */
  changes: boolean;
}

/** A moment of an exchange: the server knows nothing of it yet, or has answered and nobody heard. */
export type Side = 'before' | 'after';

/** Asked at each moment; `cut` ends the connection, so that what should have come next is lost. */
export type Observer = (exchange: Exchange, side: Side) => Promise<'pass' | 'cut'>;

/** How requests to one kind of server are named; undefined for those that do not count. */
export type Naming = (request: {
  method: string;
  path: string;
  body: Buffer;
}) => Pick<Exchange, 'what' | 'changes'> | undefined;

export interface WireOptions {
  server: string;
  /** Address of the server, with its scheme. */
  target: string;
  naming: Naming;
  /** Whether the server pings its clients, and lets those go that do not answer. */
  pings?: boolean;
  /** Certificate and key that the server has too, and the proxy shows; none without TLS. */
  tls?: { cert: Buffer; key: Buffer };
}

/** As `temporal-dev.yaml` has it for the server. */
const pingEveryMs = 2000;
const passAll: Observer = () => Promise.resolve('pass');

export class Wire {
  private readonly options: WireOptions;
  private readonly proxy: Http2Server;
  private readonly sockets = new Set<Socket>();
  private readonly counts = new Map<string, number>();
  private observer = passAll;
  private isAway = false;

  private constructor(options: WireOptions) {
    this.options = options;
    const { tls } = options;
    this.proxy = tls ? createSecureServer({ ...tls, allowHTTP1: true }) : createServer();
    this.proxy.on('connection', (socket: Socket) => this.admit(socket));
    this.proxy.on('session', (session: ServerHttp2Session) => this.join(session));
    this.proxy.on('upgrade', (request: IncomingMessage, socket: Socket) => {
      this.tunnel(request, socket).catch(() => socket.destroy());
    });
    // A client that is killed leaves its connection in whatever state.
    this.proxy.on('sessionError', () => undefined);
  }

  static async open(options: WireOptions): Promise<Wire> {
    const wire = new Wire(options);
    wire.proxy.listen(0, '127.0.0.1');
    await once(wire.proxy, 'listening');
    return wire;
  }

  get port(): number {
    return (this.proxy.address() as AddressInfo).port;
  }

  /** Counts from 1 again, and asks `observer` from now on. */
  observe(observer: Observer = passAll): void {
    this.counts.clear();
    this.observer = observer;
  }

  /** Ends all connections, as a network that breaks. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Refuses every connection until it is called with false. */
  refuse(isAway: boolean): void {
    this.isAway = isAway;
    if (isAway) this.cut();
  }

  close(): void {
    this.cut();
    this.proxy.close();
  }

  private admit(socket: Socket): void {
    if (this.isAway) return void socket.destroy();
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.sockets.delete(socket));
  }

  /** Each connection of a client has one of its own to the server, and both end together. */
  private join(session: ServerHttp2Session): void {
    const { target, tls, pings } = this.options;
    const upstream = connect(target, tls ? { ca: tls.cert } : {});
    upstream.on('error', () => undefined);
    session.on('error', () => undefined);
    upstream.once('close', () => session.destroy());
    session.once('close', () => upstream.destroy());
    if (pings) endWhereSilent(session);
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      this.carry(stream, headers, upstream).catch(() => session.destroy());
    });
  }

  private async carry(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    upstream: ClientHttp2Session,
  ): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const exchange = this.nameOf(headers, body);
    await this.ask(exchange, 'before', stream);

    const request = upstream.request(headers, { endStream: body.length === 0 });
    request.on('error', () => stream.close(constants.NGHTTP2_CANCEL));
    stream.once('close', () => request.close(constants.NGHTTP2_CANCEL));
    if (body.length > 0) request.end(body);
    const [answer, flags] = (await once(request, 'response')) as [IncomingHttpHeaders, number];
    await this.ask(exchange, 'after', stream);

    if (stream.destroyed) return;
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    let trailers: IncomingHttpHeaders = {};
    request.once('trailers', (sent: IncomingHttpHeaders) => (trailers = sent));
    stream.once('wantTrailers', () => stream.sendTrailers(trailers));
    stream.respond(answer, { endStream: isWhole, waitForTrailers: !isWhole });
    if (isWhole) return void request.resume();
    request.pipe(stream);
  }

  /**
   * A WebSocket, on which the server alone speaks, to its end: what it says is held back until it has
   * said all.
   */
  private async tunnel(request: IncomingMessage, socket: Socket): Promise<void> {
    const { target, tls } = this.options;
    const { method = '', url: path = '', rawHeaders } = request;
    socket.on('error', () => undefined);
    const exchange = this.nameOf({ ':method': method, ':path': path }, Buffer.alloc(0));
    if (exchange && (await this.observer(exchange, 'before')) === 'cut')
      return void socket.destroy();
    const { hostname, port } = new URL(target);
    const upstream = connectTls({ host: hostname, port: Number(port), ca: tls?.cert });
    upstream.on('error', () => socket.destroy());
    socket.once('close', () => upstream.destroy());
    const headers = rawHeaders.map((text, index) =>
      index % 2 === 0 ? `${text}: ` : `${text}\r\n`,
    );
    upstream.write(`${method} ${path} HTTP/1.1\r\n${headers.join('')}\r\n`);
    const chunks: Buffer[] = [];
    for await (const chunk of upstream) chunks.push(chunk as Buffer);
    if (exchange && (await this.observer(exchange, 'after')) === 'cut')
      return void socket.destroy();
    socket.end(Buffer.concat(chunks));
  }

  private nameOf(headers: IncomingHttpHeaders, body: Buffer): Exchange | undefined {
    const { ':method': method = '', ':path': path = '' } = headers;
    const named = this.options.naming({ method: String(method), path: String(path), body });
    if (!named) return undefined;
    const nth = (this.counts.get(named.what) ?? 0) + 1;
    this.counts.set(named.what, nth);
    return { server: this.options.server, nth, ...named };
  }

  /** @throws Error where the connection is to be cut. */
  private async ask(
    exchange: Exchange | undefined,
    side: Side,
    stream: ServerHttp2Stream,
  ): Promise<void> {
    if (!exchange || (await this.observer(exchange, side)) === 'pass') return;
    stream.session?.destroy();
    throw new Error('The connection was cut.');
  }
}

/** Ends the connection of a client that has stopped, since it is the proxy that the server pings. */
function endWhereSilent(session: ServerHttp2Session): void {
  let isAnswered = true;
  const timer = setInterval(() => {
    if (!isAnswered) return void session.destroy();
    isAnswered = false;
    session.ping(() => (isAnswered = true));
  }, pingEveryMs);
  session.once('close', () => clearInterval(timer));
}
