import { execa } from 'execa';
import { join } from 'node:path';
import { repository } from '../setup/folders.mjs';
import { median, timed, type Row } from './row.ts';

const namespace = 'bench-helm';
const replicas = 10;
const asked = 1.05;

/**
 * Rollback of a Helm release with ten pods that are ready after 3 s, from the start of the command to
 * all available: `rollback helm` against `helm rollback --wait` and `helm status`, in turn.
 */
export async function* benchHelm(rounds: number): AsyncGenerator<Row> {
  await execa('kubectl', ['create', 'namespace', namespace]);
  const names = ['ours', 'helm'] as const;
  await Promise.all(names.map((name) => upgrade(name, 'wakala/api:1.0.0')));
  const times: Record<(typeof names)[number], number[]> = { ours: [], helm: [] };
  const ratios: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    await Promise.all(names.map((name) => upgrade(name, `wakala/api:2.0.${round}`)));
    const good = await newest('helm');
    const byHelm = await timed(async () => {
      await helm('rollback', 'helm', String(good - 1), '--wait');
      await helm('status', 'helm');
    });
    const ours = await timed(() =>
      execa('rollback', ['helm', 'ours', '-n', namespace, '--to-revision', String(good - 1)]),
    );
    times.helm.push(byHelm);
    times.ours.push(ours);
    ratios.push(ours / byHelm);
  }
  yield {
    what: `Helm rollback, ${replicas} pods, against helm rollback --wait and helm status`,
    figure: Number(median(ratios).toFixed(3)),
    unit: 'x',
    asked,
    details: `ours ${Math.round(median(times.ours))} ms, helm ${Math.round(median(times.helm))} ms`,
  };
}

/** Number of the newest revision. */
async function newest(name: string): Promise<number> {
  const { stdout } = await helm('history', name, '-o', 'json');
  return (JSON.parse(stdout) as { revision: number }[]).at(-1)?.revision ?? 0;
}

function upgrade(name: string, image: string) {
  const chart = join(repository, 'sandbox', 'wakala', 'chart');
  const values = ['--set', `image=${image}`, '--set', `replicas=${replicas}`];
  return helm('upgrade', '--install', name, chart, '--wait', ...values);
}

async function helm(...args: string[]): Promise<{ stdout: string }> {
  return execa('helm', [...args, '-n', namespace]);
}
