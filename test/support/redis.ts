/** Redis servers of a test's own, on loopback; all are gone when the test file has ended. */
import { afterAll } from '@jest/globals';
import { execa, type ResultPromise } from 'execa';
import { Redis } from 'ioredis';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { claimOwnPorts } from '../../sandbox/ports.ts';
import { findServers } from '../../sandbox/setup/servers.mjs';

export class RedisServer {
  readonly port: number;
  readonly url: string;
  readonly client: Redis;
  private readonly args: string[];
  private process: ResultPromise | undefined;

  private constructor(port: number, args: string[], own: { password?: string; ca?: string }) {
    const { password, ca } = own;
    this.port = port;
    this.args = args;
    this.url = `${ca ? 'rediss' : 'redis'}://127.0.0.1:${port}`;
    this.client = new Redis({
      ...{ host: '127.0.0.1', port, lazyConnect: true, password },
      ...(ca ? { tls: { ca: readFileSync(ca) } } : {}),
      retryStrategy: () => 50,
    });
    this.client.on('error', () => undefined);
  }

  /** Starts a server; it is ended after the tests of the file. */
  static async start(
    args: string[] = [],
    password?: string,
    sentinelFile?: string,
  ): Promise<RedisServer> {
    const [port = 0, bus = 0] = await claimOwnPorts(2);
    const dir = mkdtempSync(join(tmpdir(), 'redis-'));
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
    const cluster = args.includes('--cluster-enabled') ? ['--cluster-port', String(bus)] : [];
    const secret = password ? ['--requirepass', password] : [];
    const all = sentinelFile
      ? [sentinelFile, '--sentinel', ...own.slice(0, 6)]
      : [...own, ...cluster, ...secret, ...args];
    const server = new RedisServer(port, all, { password });
    started.push(server);
    await server.up();
    return server;
  }

  /** Starts a server that speaks TLS alone, with a certificate that the CA in this file has signed. */
  static async startSecure(args: string[], ca: string): Promise<RedisServer> {
    const [port = 0] = await claimOwnPorts(1);
    const own = ['--port', '0', '--tls-port', String(port), '--bind', '127.0.0.1', '--save', ''];
    const server = new RedisServer(port, [...own, ...args], { ca });
    started.push(server);
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    this.process = execa(findServers()['redis-server'], this.args, {
      reject: false,
      stdin: 'ignore',
    });
    for await (const line of createInterface({
      input: this.process.stdout as NodeJS.ReadableStream,
    })) {
      if (/Ready to accept connections|monitor master/.test(line)) break;
    }
  }

  /** Lets the server stand still, as one that hangs: its port still takes connections. */
  hang(): void {
    this.process?.kill('SIGSTOP');
  }

  goOn(): void {
    this.process?.kill('SIGCONT');
  }

  /** Ends the server at once; what it had is lost. */
  async down(): Promise<void> {
    this.process?.kill('SIGKILL');
    await this.process;
  }

  async close(): Promise<void> {
    this.client.disconnect();
    await this.down();
  }
}

const started: RedisServer[] = [];
afterAll(async () => {
  await Promise.all(started.map((server) => server.close()));
});

/** A cluster of three masters that share all slots; `more` are arguments of each. */
export async function startCluster(more: string[] = []): Promise<RedisServer[]> {
  const args = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', ...more];
  const nodes = await Promise.all([1, 2, 3].map(() => RedisServer.start(args)));
  const urls = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await execa('redis-cli', ['--cluster', 'create', ...urls, '--cluster-yes']);
  return nodes;
}
