/** Feature flags of the sandbox's example company, as it serves them itself, and what stands around them. */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import { repository } from '../../sandbox/setup/folders.mjs';
import type { RollbackEnvironment } from './rollback-environment.ts';

/** A flag as the company has it. */
export interface Flag {
  enabled: boolean;
  rollout_percentage: number;
}

interface ExampleSettings {
  caches: { wakala: Record<string, unknown> };
  features: { wakala: Record<string, unknown> };
}

/** The example settings as they are shipped, with what the environment fills in still named. */
export function exampleSettings(): ExampleSettings {
  return parse(readFileSync(join(repository, 'rollback.yaml'), 'utf8')) as ExampleSettings;
}

/** The example's system of flags with an address in front of it, and with other parts that win. */
export function systemAt(base: string, other: object = {}): Record<string, unknown> {
  const text = JSON.stringify(exampleSettings().features.wakala);
  const system = JSON.parse(
    text.replaceAll('${WAKALA_URL:-https://api.wakala.com}', base),
  ) as Record<string, unknown>;
  return { ...system, readBack: { requests: 3, every: '100ms', limit: '10s' }, ...other };
}

const base = () => process.env.WAKALA_URL ?? '';
const admin = () => ({ authorization: `Bearer ${process.env.WAKALA_ADMIN_TOKEN}` });

/** Sets a flag as somebody at the company does; the cache is left alone. */
export async function setFlag(feature: string, flag: Partial<Flag>): Promise<void> {
  const response = await fetch(`${base()}/admin/features`, {
    ...{ method: 'PATCH', headers: { ...admin(), 'content-type': 'application/json' } },
    body: JSON.stringify({ feature, ...flag }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}

/** A flag where it is kept; undefined where there is none. */
export function stored(feature: string): Promise<Flag | undefined> {
  return read(`${base()}/admin/features/${feature}`, admin());
}

/** A flag as everybody reads it, which caches it. */
export function served(feature: string): Promise<Flag | undefined> {
  return read(`${base()}/features/${feature}`);
}

async function read(url: string, headers: Record<string, string> = {}): Promise<Flag | undefined> {
  const response = await fetch(url, { headers });
  if (response.status === 404) return undefined;
  const { enabled, rollout_percentage } = (await response.json()) as Flag;
  return { enabled, rollout_percentage };
}

/** All that is in the history of a run, payloads decoded. */
export async function historyText(env: RollbackEnvironment, workflowId: string): Promise<string> {
  const history = await env.client.workflow.getHandle(workflowId).fetchHistory();
  return textsIn(history).join('\n');
}

function textsIn(value: unknown): string[] {
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('utf8')];
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

/** A status, a text that is no JSON, or nothing at all. */
type Instead = number | { text: string; status?: number } | 'cut' | undefined;

/** An address at which nobody answers. */
export async function closedGateway(): Promise<{ url: string }> {
  const gateway = await Gateway.open();
  const { url } = gateway;
  gateway.close();
  return { url };
}

/** A way to the company that a test can cut, and look at what goes by. */
export class Gateway {
  /** Answers in place of the company where it is something; called for each request. */
  instead: (request: IncomingMessage) => Instead | Promise<Instead> = () => undefined;
  /** Methods and paths that came by. */
  readonly seen: string[] = [];
  private readonly server = createServer((request, response) => {
    this.pass(request, response).catch(() => response.destroy());
  });

  static async open(): Promise<Gateway> {
    const gateway = new Gateway();
    gateway.server.listen(0, '127.0.0.1');
    await once(gateway.server, 'listening');
    gateway.server.unref();
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers } = request;
    this.seen.push(`${method} ${url}`);
    const instead = await this.instead(request);
    if (instead === 'cut') return void response.destroy();
    if (typeof instead === 'object') {
      response.writeHead(instead.status ?? 200).end(instead.text);
      return;
    }
    if (instead !== undefined) {
      response.writeHead(instead).end('{"error":"as the test wants it"}');
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { authorization = '', 'content-type': type = '' } = headers;
    const answer = await fetch(`${base()}${url}`, {
      ...{ method, headers: { authorization, 'content-type': type } },
      body: chunks.length > 0 ? Buffer.concat(chunks) : undefined,
    });
    response.writeHead(answer.status).end(await answer.text());
  }
}
