const factors: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A Kubernetes quantity (`250m`, `1Gi`, `2e3`, `4`) as a number; NaN where it is none. */
export function parseQuantity(quantity: string | number | undefined): number {
  const parts = /^([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)([numkMGTPE]|[KMGTPE]i)?$/.exec(
    String(quantity ?? 0),
  );
  return parts ? Number(parts[1]) * (factors[parts[2] ?? ''] ?? Number.NaN) : Number.NaN;
}

/** `25%` or `3` of `total`, as the Deployment controller rounds: surge up, unavailable down. */
export function resolvePercentage(
  value: string | number | undefined,
  total: number,
  round: 'up' | 'down',
): number {
  const text = String(value ?? '25%');
  if (!text.endsWith('%')) return Number(text);
  const exact = (Number(text.slice(0, -1)) * total) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}
