import { setTimeout as sleep } from 'node:timers/promises';

/** Requests of one second. */
export interface Second {
  readonly requests: number;
  readonly failed: number;
}

/** Steady traffic to an address. */
export interface Traffic {
  /** Told every second what its requests came to; replaces the earlier listener. */
  onSecond(listener: ((second: Second) => void) | undefined): void;
  /** What the requests since the last call came to. */
  take(): Second;
  stop(): Promise<void>;
}

const everyMs = 40;
const timeoutMs = 5000;

/** Asks an address 25 times a second until it is stopped. */
export function startTraffic(url: string): Traffic {
  const stopped = new AbortController();
  let listener: ((second: Second) => void) | undefined;
  let current = { requests: 0, failed: 0 };
  let taken = { requests: 0, failed: 0 };

  const ask = async () => {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(timeoutMs)]);
    const good = await fetch(url, { signal }).then(
      async (response) => {
        await response.arrayBuffer();
        return response.ok;
      },
      () => false,
    );
    if (stopped.signal.aborted) return;
    for (const counts of [current, taken]) {
      counts.requests += 1;
      counts.failed += good ? 0 : 1;
    }
  };
  const run = async () => {
    while (!stopped.signal.aborted) {
      void ask();
      await sleep(everyMs);
    }
  };
  const running = run();
  const clock = setInterval(() => {
    const second = current;
    current = { requests: 0, failed: 0 };
    listener?.(second);
  }, 1000);

  return {
    onSecond(next) {
      listener = next;
    },
    take() {
      const counts = taken;
      taken = { requests: 0, failed: 0 };
      return counts;
    },
    async stop() {
      stopped.abort();
      clearInterval(clock);
      await running;
    },
  };
}
