import type { ErrorRate, Service } from '../../config/schema.ts';

/**
 * The share of failed requests of a service, 0 to 1, from its JSON metrics (runbook: `curl -s
 * https://api.wakala.com/metrics | jq .error_rate`).
 * @throws Error in words where there is no such number.
 */
export async function readErrorRate({ url, field, timeout }: ErrorRate): Promise<number> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeout), redirect: 'error' });
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  let found: unknown = await response.json();
  for (const key of field.split('.')) {
    found = (found as Record<string, unknown> | null | undefined)?.[key];
  }
  if (typeof found === 'number' && found >= 0 && found <= 1) return found;
  throw new Error(`${url} has no number from 0 to 1 as ${field}`);
}

/**
 * Whether the error rate of every service is above `limit`, in words. A rate that cannot be
 * measured is not above it: nothing is started automatically on a guess.
 */
export async function isErrorRateAbove(
  services: readonly (readonly [name: string, service: Service | undefined])[],
  limit: number,
): Promise<{ above: boolean; text: string }> {
  const measured = await Promise.all(
    services.map(async ([name, service]) => {
      const wanted = `more than ${percent(limit)} is needed`;
      if (!service?.errorRate) {
        return { above: false, text: `${name || 'the service'} has no errorRate in the settings` };
      }
      try {
        const rate = await readErrorRate(service.errorRate);
        return {
          above: rate > limit,
          text: `${name} has an error rate of ${percent(rate)}, ${wanted}`,
        };
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        return { above: false, text: `the error rate of ${name} cannot be measured (${why})` };
      }
    }),
  );
  return {
    above: measured.length > 0 && measured.every(({ above }) => above),
    text: measured.map(({ text }) => text).join('; ') || 'there is nothing to measure',
  };
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}
