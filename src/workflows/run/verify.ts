import { verification } from './proxies.ts';
import type { Run } from './steps.ts';

/** Measures with the plan's checks, side by side; all are told, also where the first is red. */
export async function verify(run: Run): Promise<void> {
  const { changes, checks } = run.plan;
  const services = new Set(checks.map(({ service }) => service));
  await run.together(
    checks.map((check) => {
      const of = services.size > 1 ? ` of ${check.service}` : '';
      const mandate = run.change(check.change ?? changes[0]?.id ?? '');
      const measure = () => verification.runCheck(mandate, check);
      return () => run.step(`Check ${check.check}${of}`, { do: measure });
    }),
  );
}
