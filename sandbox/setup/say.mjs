/**
 * Writes one line to stderr.
 * @param {string} line
 */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Does slow work, telling when it starts and ends; on a terminal the seconds run meanwhile.
 * @template T
 * @param {string} title what is done, such as "Building kwok 0.8.0"
 * @param {string} expectation how long it takes, in words
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function sayWhile(title, expectation, work) {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  say(`${title} (${expectation}) ...`);
  const counter = process.stderr.isTTY
    ? setInterval(() => process.stderr.write(`\r  ${seconds()} s `), 1000)
    : undefined;
  try {
    const result = await work();
    if (counter) process.stderr.write('\r');
    say(`${title}: done in ${seconds()} s`);
    return result;
  } finally {
    clearInterval(counter);
  }
}
