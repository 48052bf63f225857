import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Figures of a service as a test wants them: JSON, and Prometheus' own answers to queries. */
export class ErrorRates {
  /** From 0 to 1; undefined where there is none. */
  rate: number | undefined = 0.5;
  /** So many requests from now on are answered 503. */
  away = 0;
  /** Queries so far. */
  readonly queries: string[] = [];
  private readonly server = createServer(({ url = '' }, response) => {
    if (this.away > 0) {
      this.away--;
      response.writeHead(503).end();
      return;
    }
    const { pathname, searchParams } = new URL(url, 'http://metrics');
    if (pathname === '/api/v1/query') {
      this.queries.push(searchParams.get('query') ?? '');
      const result =
        this.rate === undefined ? [] : [{ metric: {}, value: [Date.now() / 1000, `${this.rate}`] }];
      const body = { status: 'success', data: { resultType: 'vector', result } };
      response.writeHead(200).end(JSON.stringify(body));
      return;
    }
    response.writeHead(this.rate === undefined ? 503 : 200);
    response.end(JSON.stringify({ error_rate: this.rate }));
  });

  static async open(): Promise<ErrorRates> {
    const rates = new ErrorRates();
    rates.server.listen(0, '127.0.0.1');
    await once(rates.server, 'listening');
    rates.server.unref();
    return rates;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
