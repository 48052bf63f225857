/** Requests to systems of feature flags: JSON in, JSON out, secrets in headers and nowhere else. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Headers, Secret } from '../../config/secret.ts';
import { printable } from '../../contract/printable.ts';

/** A system that does not answer, or says that it cannot now. */
export class HttpUnreachable extends Error {}

/** A system that says no, or says nothing of use. */
export class HttpError extends Error {
  /** HTTP status; 0 where the answer itself is of no use. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A secret that this worker does not have. */
export class SecretMissing extends Error {}

export interface JsonRequest {
  /** What is asked, in words, such as `Feature system acme`. */
  what: string;
  method: string;
  url: string;
  /** Those that come later win. */
  headers: readonly Headers[];
  body?: unknown;
  timeout: number;
  /** Folder of the settings file. */
  folder: string;
  signal?: AbortSignal;
}

const maxAnswer = 1_000_000;
/** Statuses that pass by themselves; 409 is a change that met somebody else's. */
const passing = [408, 409, 423, 425, 429];

/**
 * Sends a request and answers what came back, or undefined where there is no such thing (404).
 * @throws {HttpUnreachable} {HttpError} {SecretMissing}
 */
export async function requestJson(request: JsonRequest): Promise<unknown> {
  const { what, method, url, body, timeout, folder, signal } = request;
  const sent = headersOf(request.headers, folder);
  const where = `${what} (${method} ${placeOf(url)})`;
  const limit = AbortSignal.timeout(timeout);
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...sent.headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      // Elsewhere, the secrets would be somebody else's.
      redirect: 'error',
      signal: signal ? AbortSignal.any([limit, signal]) : limit,
    });
    status = response.status;
    text = (await response.text()).slice(0, maxAnswer);
  } catch (error) {
    signal?.throwIfAborted();
    throw new HttpUnreachable(`${where} does not answer (${whyOf(error, timeout)})`);
  }
  if (status === 404) return undefined;
  if (status >= 200 && status < 300) return jsonOf(text, where);
  const said = printable(sent.redact(text).replaceAll(/\s+/g, ' ').slice(0, 200)).trim();
  const answer = `${where} answers ${status}${said ? `: ${said}` : ''}`;
  if (passing.includes(status) || status >= 500) throw new HttpUnreachable(answer);
  if (status === 401 || status === 403) {
    const names = sent.secrets.join(', ') || 'headers in the settings';
    throw new HttpError(status, `${answer}. Renew ${names}.`);
  }
  throw new HttpError(status, answer);
}

/** What stands in JSON on the way `a.0.b`; undefined where there is nothing. */
export function valueAt(json: unknown, path: string): unknown {
  let found = json;
  for (const key of path.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}

/** An address as messages have it: without its query, which may be nobody's business. */
export function placeOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${decodeURI(pathname)}`;
}

function headersOf(all: readonly Headers[], folder: string) {
  const headers: Record<string, string> = {};
  const values: string[] = [];
  const secrets: string[] = [];
  for (const [name, content] of all.flatMap((some) => Object.entries(some))) {
    if (typeof content === 'string') {
      headers[name.toLowerCase()] = content;
      continue;
    }
    const value = readSecret(content, name, folder);
    values.push(value);
    secrets.push('env' in content ? `$${content.env}` : content.file);
    headers[name.toLowerCase()] = `${content.prefix}${value}`;
  }
  const redact = (text: string) =>
    values.reduce((left, value) => left.replaceAll(value, '…'), text);
  return { headers, secrets, redact };
}

/** @throws {SecretMissing} */
function readSecret(from: Secret, header: string, folder: string): string {
  if ('env' in from) {
    const value = process.env[from.env];
    if (value) return value;
    throw new SecretMissing(
      `The environment variable ${from.env} is not set, which the header ${header} needs: set it where the worker is started, and start it again.`,
    );
  }
  const file = resolve(folder, from.file);
  let value: string;
  try {
    value = readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SecretMissing(
      `The file ${file} cannot be read (${code}), which the header ${header} needs: put the secret there, readable for the worker.`,
    );
  }
  if (value) return value;
  throw new SecretMissing(`The file ${file} is empty, and the header ${header} needs its secret.`);
}

function jsonOf(text: string, where: string): unknown {
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new HttpError(0, `${where} answers no JSON: is this the right address?`);
  }
}

function whyOf(error: unknown, timeout: number): string {
  const { name, message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return `nothing in ${timeout} ms`;
  return cause?.code ?? cause?.message ?? message;
}
