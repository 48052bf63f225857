import { readFile } from 'node:fs/promises';
import { request } from 'node:https';

const timeoutMs = 1000;

/** Whether a GET of an http address is answered with a success. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/**
 * The status that a GET of an https address on 127.0.0.1 is answered with, 0 for no answer. `ca` is
 * the file of the certificate to trust; without it any is trusted.
 */
export async function httpsStatus(
  url: string,
  { token, ca }: { token?: string; ca?: string } = {},
): Promise<number> {
  try {
    const trust = ca ? { ca: await readFile(ca) } : { rejectUnauthorized: false };
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const asked = request(url, { ...trust, headers, timeout: timeoutMs, agent: false });
    return await new Promise((resolve, reject) => {
      asked.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.on('timeout', () => asked.destroy(new Error('timeout')));
      asked.on('error', reject);
      asked.end();
    });
  } catch {
    return 0;
  }
}
