/** A wire of one connection for each client's own, of which a protocol knows where a message ends. */
import { connect, createServer, type Socket } from 'node:net';
import { type Exchange, type Named, type ServerName, Wire } from './wire.ts';

/** One connection, as its protocol sees it. */
export interface Conversation {
  /** The first message of what a client has said, and what it asks; undefined where it is not whole yet. */
  request(said: Buffer): { length: number; asks?: Named } | undefined;
  /** The same of what the server has said; at the end, all that was asked so far is answered. */
  answer(said: Buffer): { length: number; isEnd: boolean } | undefined;
}

export interface TcpOptions {
  server: ServerName;
  /** Address of the server, with its scheme. */
  target: string;
  converse: () => Conversation;
}

export class TcpWire extends Wire {
  private constructor({ server, target, converse }: TcpOptions) {
    super(
      server,
      createServer((client) => {
        if (client.destroyed) return;
        const { hostname, port } = new URL(target);
        this.join(client, connect(Number(port), hostname), converse());
      }),
    );
  }

  static to(options: TcpOptions): Promise<TcpWire> {
    return new TcpWire(options).open();
  }

  /** Each connection of a client has one of its own to the server, and both end together. */
  private join(client: Socket, server: Socket, conversation: Conversation): void {
    const pending: Exchange[] = [];
    const asked = async (said: Buffer): Promise<number> => {
      const { length = 0, asks } = conversation.request(said) ?? {};
      const exchange = this.count(asks);
      if (await this.isCut(exchange, 'before')) client.destroy();
      if (exchange) pending.push(exchange);
      return length;
    };
    const answered = async (said: Buffer): Promise<number> => {
      const { length = 0, isEnd } = conversation.answer(said) ?? {};
      for (const exchange of isEnd ? pending.splice(0) : []) {
        if (await this.isCut(exchange, 'after')) client.destroy();
      }
      return length;
    };
    carry(client, server, asked).catch(() => client.destroy());
    carry(server, client, answered).catch(() => client.destroy());
    client.once('close', () => server.destroy());
    server.once('close', () => client.destroy());
  }
}

/**
 * Passes on what one side says, message by message.
 * @param admit answers how long the first message is once it may pass; 0 where it is not whole
 */
async function carry(
  from: Socket,
  to: Socket,
  admit: (said: Buffer) => Promise<number>,
): Promise<void> {
  let said = Buffer.alloc(0);
  for await (const chunk of from) {
    said = Buffer.concat([said, chunk as Buffer]);
    for (;;) {
      const length = said.length === 0 ? 0 : await admit(said);
      if (length === 0 || from.destroyed) break;
      to.write(said.subarray(0, length));
      said = said.subarray(length);
    }
  }
}
