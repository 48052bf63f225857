import { createInterface } from 'node:readline/promises';

/** Whether whoever sits at the terminal says yes; anything else is a no. */
export async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-D, or a terminal that is gone, ends the input without an answer.
  const gone = new AbortController();
  lines.once('close', () => gone.abort());
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: gone.signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    if (!gone.signal.aborted) throw error;
    return false;
  } finally {
    lines.close();
  }
}
