/** Soon at first; then less often, since many tests look at a time, and each look is work of the worker's. */
const pausesMs = { first: 50, longest: 150, growth: 1.3 };

/**
 * Asks `look` again and again until it answers something other than undefined or false, and answers
 * that. For states that nobody announces; `what` is said where it does not come.
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  withinMs = 60_000,
): Promise<T> {
  const giveUp = Date.now() + withinMs;
  let pauseMs = pausesMs.first;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > giveUp) throw new Error(`Not within ${withinMs / 1000} s: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(pausesMs.longest, pauseMs * pausesMs.growth);
  }
}
