import { execa } from 'execa';
import { median, timed, type Row } from './row.ts';

/** From the start of the command to its end, once Temporal has accepted the run. */
export async function* benchStart(rounds: number): AsyncGenerator<Row> {
  const start = () => execa('rollback', ['deployment', 'wakala-api', '--dry-run', '--detach']);
  await start();
  const times: number[] = [];
  for (let round = 0; round < 2 * rounds; round++) times.push(await timed(start));
  yield {
    what: 'command start to accepted by the server',
    figure: Math.round(median(times)),
    unit: 'ms',
    asked: 500,
    details: `fastest ${Math.round(Math.min(...times))} ms, slowest ${Math.round(Math.max(...times))} ms`,
  };
}
