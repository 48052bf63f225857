import { styleText } from 'node:util';
import type { Second } from './traffic.ts';

const coloured = process.stdout.isTTY === true && !process.env.NO_COLOR;

type Style = Parameters<typeof styleText>[0];

/** Text in a style, on a terminal. */
export function styled(style: Style, text: string): string {
  return coloured ? styleText(style, text, { validateStream: false }) : text;
}

/** Says which step of the demo comes now. */
export function tellStep(text: string): void {
  console.log(`\n${styled('bold', `> ${text}`)}`);
}

/** Says something about the step. */
export function tell(text: string): void {
  console.log(`  ${text}`);
}

/** The share of requests that failed, in words: `30 % of 25 requests failed`. */
export function errorRate({ requests, failed }: Second): string {
  const percent = Math.round((100 * failed) / Math.max(1, requests));
  return styled(failed > 0 ? 'red' : 'green', `${percent} % of ${requests} requests failed`);
}

/** Shows one second of traffic as a bar, one mark a request. */
export function tellSecond(second: Second): void {
  const good = Math.max(0, second.requests - second.failed);
  const bar = styled('green', '.'.repeat(good)) + styled('red', 'x'.repeat(second.failed));
  const padding = ' '.repeat(Math.max(0, 28 - second.requests));
  tell(`${bar}${padding}${errorRate(second)}`);
}
