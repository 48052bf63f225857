const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Durations are a number with a unit, as in Kubernetes and Temporal: `500ms`, `90s`, `10m`, `2h`, `1d`. */
export const durationPattern = /^(\d{1,6})(ms|s|m|h|d)$/;

/** Milliseconds of a duration that matches `durationPattern`; NaN for anything else. */
export function durationMs(text: string): number {
  const [, count, unit = ''] = durationPattern.exec(text) ?? [];
  return Number(count) * (units[unit] ?? Number.NaN);
}
