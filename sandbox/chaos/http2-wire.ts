/** A wire of HTTP/2, which Kubernetes and Temporal both speak. */
import { once } from 'node:events';
import {
  connect,
  constants,
  createSecureServer,
  createServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Exchange, type Named, type ServerName, type Side, Wire } from './wire.ts';

/** How requests to one kind of server are named; undefined for those that do not count. */
export type Naming = (request: { method: string; path: string; body: Buffer }) => Named | undefined;

export interface Http2Options {
  server: ServerName;
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

export class Http2Wire extends Wire {
  private readonly options: Http2Options;

  private constructor(options: Http2Options) {
    const { server, tls } = options;
    const proxy = tls ? createSecureServer({ ...tls, allowHTTP1: true }) : createServer();
    super(server, proxy);
    this.options = options;
    proxy.on('session', (session: ServerHttp2Session) => this.join(session));
    proxy.on('upgrade', (request: IncomingMessage, socket: Socket) => {
      this.tunnel(request, socket).catch(() => socket.destroy());
    });
    // A client that is killed leaves its connection in whatever state.
    proxy.on('sessionError', () => undefined);
  }

  static to(options: Http2Options): Promise<Http2Wire> {
    return new Http2Wire(options).open();
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
    if (await this.isCut(exchange, 'before')) return void socket.destroy();
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
    if (await this.isCut(exchange, 'after')) return void socket.destroy();
    socket.end(Buffer.concat(chunks));
  }

  private nameOf(headers: IncomingHttpHeaders, body: Buffer): Exchange | undefined {
    const { ':method': method = '', ':path': path = '' } = headers;
    return this.count(this.options.naming({ method: String(method), path: String(path), body }));
  }

  /** @throws Error where the connection is to be cut. */
  private async ask(
    exchange: Exchange | undefined,
    side: Side,
    stream: ServerHttp2Stream,
  ): Promise<void> {
    if (!(await this.isCut(exchange, side))) return;
    stream.session?.destroy();
    throw new Error('The connection was cut.');
  }
}

/** Ends the connection of a client that has stopped, since it is the proxy that the server pings. */
function endWhereSilent(session: ServerHttp2Session): void {
  let isAnswered = true;
  const timer = setInterval(() => {
    // A destroyed session closes only when its socket has, and takes no ping until then.
    if (session.destroyed) return;
    if (!isAnswered) return session.destroy();
    isAnswered = false;
    session.ping(() => (isAnswered = true));
  }, pingEveryMs);
  session.once('close', () => clearInterval(timer));
}
