import { explainFailure } from './explain-failure.ts';

/** What `rollback doctor` has found about one thing. */
export interface Finding {
  what: string;
  ok: boolean;
  text: string;
}

/** Runs one check; what it throws is its finding. Answers what it found, if anything. */
export async function look<T>(
  findings: Finding[],
  what: string,
  check: () => Promise<[T, string]>,
): Promise<T | undefined> {
  try {
    const [found, text] = await check();
    findings.push({ what, ok: true, text });
    return found;
  } catch (error) {
    findings.push({ what, ok: false, text: explainFailure(error).message });
    return undefined;
  }
}
