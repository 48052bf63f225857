/** Requests to systems of feature flags: JSON in, JSON out, secrets in headers and nowhere else. */
import { headerPattern, type Headers, type Secret } from '../../config/secret.ts';
import { printable } from '../../contract/printable.ts';
import { readSecret, SecretMissing } from '../secret.ts';

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
/** Statuses that pass by themselves; 409 and 412 are a change that met somebody else's. */
const passing = [408, 409, 412, 423, 425, 429];

/**
 * Asks for JSON and answers it, or undefined where there is no such thing (404).
 * @throws {HttpUnreachable} {HttpError} {SecretMissing}
 */
export async function requestJson(request: JsonRequest): Promise<unknown> {
  const answer = await send(request);
  return answer && jsonOf(answer, whereOf(request));
}

/**
 * Sends a change, whatever is said about it where it was taken.
 * @returns whether there is such a thing (no 404)
 * @throws {HttpUnreachable} {HttpError} {SecretMissing}
 */
export async function requestChange(request: JsonRequest): Promise<boolean> {
  return (await send(request)) !== undefined;
}

interface Answer {
  text: string;
  /** Whether there was more than is read of an answer. */
  isCut: boolean;
}

async function send(request: JsonRequest): Promise<Answer | undefined> {
  const { method, url, body, timeout, folder, signal } = request;
  const sent = headersOf(request.headers, folder);
  const where = whereOf(request);
  const limit = AbortSignal.timeout(timeout);
  let status: number;
  let answered: Answer;
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
    answered = await readAnswer(response);
  } catch (error) {
    signal?.throwIfAborted();
    throw new HttpUnreachable(`${where} does not answer (${sent.redact(whyOf(error, timeout))})`);
  }
  if (status === 404) return undefined;
  if (status >= 200 && status < 300) return answered;
  const said = printable(sent.redact(answered.text).replaceAll(/\s+/g, ' ').slice(0, 200)).trim();
  const answer = `${where} answers ${status}${said ? `: ${said}` : ''}`;
  if (passing.includes(status) || status >= 500) throw new HttpUnreachable(answer);
  if (status === 401 || status === 403) {
    const names = sent.secrets.join(', ') || 'headers in the settings';
    throw new HttpError(status, `${answer}. Renew ${names}.`);
  }
  throw new HttpError(status, answer);
}

/** Reads no more than is of use, and tells the server so. */
async function readAnswer({ body }: Response): Promise<Answer> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    if (text.length > maxAnswer) return { text, isCut: true };
  }
  return { text, isCut: false };
}

function whereOf({ what, method, url }: JsonRequest): string {
  return `${what} (${method} ${placeOf(url)})`;
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
    const value = readSecret(content, `the header ${name}`, folder);
    assertHeader(value, content, name);
    values.push(value);
    secrets.push('env' in content ? `$${content.env}` : content.file);
    headers[name.toLowerCase()] = `${content.prefix}${value}`;
  }
  const redact = (text: string) =>
    values.reduce((left, value) => left.replaceAll(value, '…'), text);
  return { headers, secrets, redact };
}

/**
 * What no header can have is told here, since whoever sends it would say the value.
 * @throws {SecretMissing} with the name of the variable or file, and nothing of what is in it.
 */
function assertHeader(value: string, from: Secret, header: string): void {
  if (headerPattern.test(value)) return;
  const where = 'env' in from ? `environment variable ${from.env}` : `file ${from.file}`;
  throw new SecretMissing(
    `The ${where} has line breaks or characters other than ASCII in it, which the header ${header} cannot have: put the secret there and nothing else.`,
  );
}

function jsonOf({ text, isCut }: Answer, where: string): unknown {
  if (isCut) {
    throw new HttpError(
      0,
      `${where} answers more than 1 MB, of which the rest is not read: is this the right address?`,
    );
  }
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
