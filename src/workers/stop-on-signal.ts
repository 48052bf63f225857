/**
 * Aborts at SIGTERM and SIGINT. It goes on listening, since beside a child of execa's nobody would be left
 * who does, and execa would end the process at once.
 */
export function stopOnSignal(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  return stop;
}
