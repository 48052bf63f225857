/** The gate of R15: the share of failed requests, from a JSON document or from Prometheus. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadedSettings } from '../../config/settings.ts';
import { SecretMissing } from '../secret.ts';
import { HttpError, HttpUnreachable, placeOf, requestJson, valueAt } from './http.ts';
import { isAtMost, off, percentagesOf, type ReductionChange, stateInWords } from './flag-change.ts';
import { FlagSystem } from './system.ts';

/** What was measured while a feature is on for a part only. */
export interface MeasuredRate {
  /** Undefined where the error rate cannot be measured. */
  isAbove: boolean | undefined;
  /** The feature's share as it stands, in percent; null where none tells who has it. */
  percentage: number | null;
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
  const { state } = (await system.read(target.name, signal)) ?? { state: off };
  const percentage = state.enabled ? state.percentage : 0;
  try {
    const rate = await readRate(loaded, system, target.name, after, { signal });
    const isAbove = rate > after.gate;
    const text = `error rate ${percentInWords(rate)}, ${isAbove ? 'above' : 'at or below'} the gate of ${percentInWords(after.gate)}`;
    return { isAbove, percentage, text };
  } catch (error) {
    if (!isUnmeasured(error)) throw error;
    const text = `the error rate cannot be measured (${error.message})`;
    const next = percentagesOf(change).find((share) => !isAtMost(state, share));
    const on =
      next === undefined ? '' : ` It goes on to ${next} %, as without a measurement it must.`;
    // That nobody could be told is no reason to stop.
    await tell(
      `Feature ${target.name} in ${system.name} is ${stateInWords(state)}, and ${text}.${on}`,
    ).catch(() => undefined);
    return { isAbove: undefined, percentage, text };
  }
}

/**
 * Why the error rate cannot be measured now; undefined where it can. Asks once, since plans do not wait.
 */
export async function whyUnmeasured(
  loaded: LoadedSettings,
  system: FlagSystem,
  feature: string,
  expression: RateExpression,
): Promise<string | undefined> {
  try {
    await readRate(loaded, system, feature, expression, { tries: 1 });
    return undefined;
  } catch (error) {
    if (!isUnmeasured(error)) throw error;
    return error.message;
  }
}

/** Requests for an error rate, of which one that does not answer is no measurement yet. */
const mostTries = 3;
const pauseMs = 200;

/** Where the error rate is looked for in place of what the settings say; plans have it. */
export type RateExpression = Pick<ReductionChange['after'], 'errorRateField' | 'errorRateQuery'>;

/** @throws {HttpError} {HttpUnreachable} {SecretMissing} where there is no such number. */
export async function readRate(
  { folder }: LoadedSettings,
  { name: system, settings: { errorRate } }: FlagSystem,
  feature: string,
  expression: RateExpression,
  { signal, tries = mostTries }: { signal?: AbortSignal; tries?: number } = {},
): Promise<number> {
  if (!errorRate) {
    throw new HttpError(0, `the settings have no features.${system}.errorRate`);
  }
  const { headers, timeout } = errorRate;
  const ask = async (url: string) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await requestJson({
          ...{ what: 'Error rate', method: 'GET', url, headers: [headers], timeout },
          ...{ folder, signal },
        });
      } catch (error) {
        if (!(error instanceof HttpUnreachable) || attempt === tries) throw error;
        await delay(attempt * pauseMs, undefined, { signal });
      }
    }
  };
  if ('url' in errorRate) {
    const { url } = errorRate;
    const field = expression.errorRateField ?? errorRate.field;
    return rateOf(
      valueAt(await ask(url), field),
      `number from 0 to 1 at ${field} of ${placeOf(url)}`,
    );
  }
  const query = expression.errorRateQuery ?? errorRate.query;
  const asked = query.replaceAll('{name}', feature);
  const url = new URL(`${errorRate.prometheus.replace(/\/$/, '')}/api/v1/query`);
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
