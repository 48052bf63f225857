/** The gate of R15: the share of failed requests, from a JSON document or from Prometheus. */
import type { LoadedSettings } from '../../config/settings.ts';
import { HttpError, HttpUnreachable, requestJson, SecretMissing, valueAt } from './http.ts';
import { percentagesOf, type ReductionChange } from './flag-change.ts';
import { FlagSystem } from './system.ts';

/** What was measured while a feature is on for a part only. */
export interface MeasuredRate {
  /** Undefined where the error rate cannot be measured. */
  isAbove: boolean | undefined;
  /** The feature's share as it stands, in percent. */
  percentage: number;
  /** The figures, or why there are none. */
  text: string;
}

/**
 * Measures the error rate against the planned gate, and where the feature stands. A rate that cannot be
 * measured is told to people, since it is no reason to stop.
 * @param tell tells the first contact
 */
export async function measureErrorRate(
  loaded: LoadedSettings,
  change: ReductionChange,
  tell: (text: string) => Promise<void>,
  signal: AbortSignal,
): Promise<MeasuredRate> {
  const { target, after } = change;
  const system = FlagSystem.of(loaded, target);
  const found = await system.read(target.name, signal);
  const percentage = found?.state.enabled ? found.state.percentage : 0;
  try {
    const rate = await readRate(loaded, system, target.name, signal);
    const isAbove = rate > after.gate;
    const text = `error rate ${percentInWords(rate)}, ${isAbove ? 'above' : 'at or below'} the gate of ${percentInWords(after.gate)}`;
    return { isAbove, percentage, text };
  } catch (error) {
    if (!isUnmeasured(error)) throw error;
    const text = `the error rate cannot be measured (${error.message})`;
    const next = percentagesOf(change).find((share) => share < percentage);
    const on =
      next === undefined ? '' : ` It goes on to ${next} %, as without a measurement it must.`;
    // That nobody could be told is no reason to stop.
    await tell(
      `Feature ${target.name} in ${system.name} is on at ${percentage} %, and ${text}.${on}`,
    ).catch(() => undefined);
    return { isAbove: undefined, percentage, text };
  }
}

/** @throws {HttpError} {HttpUnreachable} {SecretMissing} where there is no such number. */
async function readRate(
  { folder }: LoadedSettings,
  { name: system, settings: { errorRate } }: FlagSystem,
  feature: string,
  signal: AbortSignal,
): Promise<number> {
  if (!errorRate) {
    throw new HttpError(0, `the settings have no features.${system}.errorRate`);
  }
  const { headers, timeout } = errorRate;
  const ask = (url: string) =>
    requestJson({
      ...{ what: 'Error rate', method: 'GET', url, headers: [headers], timeout, folder, signal },
    });
  if ('url' in errorRate) {
    const { url, field } = errorRate;
    return rateOf(valueAt(await ask(url), field), `number from 0 to 1 at ${field} of ${url}`);
  }
  const { prometheus, query } = errorRate;
  const asked = query.replaceAll('{name}', feature);
  const url = new URL(`${prometheus.replace(/\/$/, '')}/api/v1/query`);
  url.searchParams.set('query', asked);
  const answer = await ask(url.href);
  const result = valueAt(answer, 'data.result');
  const isScalar = valueAt(answer, 'data.resultType') === 'scalar';
  const isOne = Array.isArray(result) && result.length === 1;
  const value = isScalar ? valueAt(result, '1') : isOne ? valueAt(result, '0.value.1') : undefined;
  return rateOf(value, `single number from 0 to 1 for the query ${asked}`);
}

function rateOf(value: unknown, wanted: string): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && number >= 0 && number <= 1) return number;
  throw new HttpError(0, `there is no ${wanted}`);
}

function isUnmeasured(error: unknown): error is Error {
  return (
    error instanceof HttpError || error instanceof HttpUnreachable || error instanceof SecretMissing
  );
}

export function percentInWords(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}
