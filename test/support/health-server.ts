import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';

/** A service's health address whose answers a test decides: a status, or never an answer. */
export class HealthServer {
  /** Requests so far. */
  asked = 0;
  answer: (count: number) => number | 'never' = () => 200;
  private readonly server: Server;

  constructor() {
    this.server = createServer((_, response) => {
      const status = this.answer(this.asked++);
      if (status !== 'never') response.writeHead(status).end();
    });
  }

  async start(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/health`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
