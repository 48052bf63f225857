/**
 * What a worker and a server say to each other, seen from between them: a proxy that can hold a
 * request back, lose it, or lose its answer, so that a worker is hurt at any point without a word
 * about it in its own code.
 */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Servers that a wire goes to. */
export type ServerName = 'temporal' | 'kubernetes' | 'postgres' | 'pooler' | 'redis' | 'features';

/** One request, named so that the same one is known again in another run of the same procedure. */
export interface Exchange {
  /** The server that is asked. */
  server: ServerName;
  /** What is asked of it, without what differs from run to run. */
  what: string;
  /** Counts the exchanges of this name from 1. */
  nth: number;
  /** Whether it may change something there. */
  changes: boolean;
}

/** What is asked, of whatever server. */
export type Named = Pick<Exchange, 'what' | 'changes'>;

/** A moment of an exchange: the server knows nothing of it yet, or has answered and nobody heard. */
export type Side = 'before' | 'after';

/** Asked at each moment; `cut` ends the connection, so that what should have come next is lost. */
export type Observer = (exchange: Exchange, side: Side) => Promise<'pass' | 'cut'>;

const passAll: Observer = () => Promise.resolve('pass');

/** A proxy before one server, whatever it speaks. */
export abstract class Wire {
  readonly server: ServerName;
  private readonly listener: Server;
  private readonly sockets = new Set<Socket>();
  private readonly counts = new Map<string, number>();
  private observer = passAll;
  private isAway = false;

  protected constructor(server: ServerName, listener: Server) {
    this.server = server;
    this.listener = listener;
    listener.on('connection', (socket: Socket) => this.admit(socket));
  }

  /** Takes connections from now on. */
  protected async open(): Promise<this> {
    this.listener.listen(0, '127.0.0.1');
    await once(this.listener, 'listening');
    return this;
  }

  /** `host:port` of the proxy. */
  get address(): string {
    return `127.0.0.1:${(this.listener.address() as AddressInfo).port}`;
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
    this.listener.close();
  }

  /** Counts what is asked; undefined for what does not count. */
  protected count(named: Named | undefined): Exchange | undefined {
    if (!named) return undefined;
    const nth = (this.counts.get(named.what) ?? 0) + 1;
    this.counts.set(named.what, nth);
    return { server: this.server, nth, ...named };
  }

  /** Whether the connection is to be cut at this moment; answers when it may go on. */
  protected async isCut(exchange: Exchange | undefined, side: Side): Promise<boolean> {
    return exchange !== undefined && (await this.observer(exchange, side)) === 'cut';
  }

  private admit(socket: Socket): void {
    if (this.isAway) return void socket.destroy();
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.sockets.delete(socket));
  }
}
