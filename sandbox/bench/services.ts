import { execa } from 'execa';
import { median, timed, type Row } from './row.ts';

const replicas = 3;

/**
 * Several services at once, from the start of the command to all available: `rollback services`
 * against the runbook's loops of `kubectl rollout undo` and `kubectl rollout status`.
 */
export async function* benchServices(rounds: number): AsyncGenerator<Row> {
  yield await compare(4, rounds);
  yield await compare(40, Math.min(rounds, 3));
}

async function compare(count: number, rounds: number): Promise<Row> {
  const names = Array.from({ length: count }, (_, index) => `service-${index}`);
  const twins = { ours: `bench-${count}-ours`, loop: `bench-${count}-loop` };
  try {
    await both(twins, async (namespace) => {
      await execa('kubectl', ['create', 'namespace', namespace]);
      for (const name of names) {
        const args = ['create', 'deployment', name, '--image=wakala/api:1.0.0'];
        await kubectl(namespace, ...args, `--replicas=${replicas}`);
      }
    });
    const times = { ours: [] as number[], loop: [] as number[] };
    for (let round = 1; round <= rounds; round++) {
      await both(twins, async (namespace) => {
        const image = `*=wakala/api:2.0.${round}`;
        await kubectl(namespace, 'set', 'image', 'deployment', '--all', image);
        await awaitAll(namespace, names);
      });
      times.loop.push(await timed(() => loop(twins.loop, names)));
      const ours = ['services', ...names, '-n', twins.ours, '--json'];
      times.ours.push(await timed(() => execa('rollback', ours)));
    }
    const ratios = times.ours.map((ms, round) => ms / (times.loop[round] ?? Number.NaN));
    return {
      what: `${count} services of ${replicas} pods, against the runbook's loop`,
      figure: Number(median(ratios).toFixed(3)),
      unit: 'x',
      asked: 0.6,
      details: `ours ${Math.round(median(times.ours))} ms; kubectl ${Math.round(median(times.loop))} ms`,
    };
  } finally {
    // Hundreds of pods that go in the background would cost the next bench time.
    await execa('kubectl', ['delete', 'namespace', ...Object.values(twins)]);
  }
}

/** The runbook's own script. */
async function loop(namespace: string, names: string[]): Promise<void> {
  for (const name of names) await kubectl(namespace, 'rollout', 'undo', `deployment/${name}`);
  await awaitAll(namespace, names);
}

async function awaitAll(namespace: string, names: string[]): Promise<void> {
  for (const name of names) {
    await kubectl(namespace, 'rollout', 'status', `deployment/${name}`, '--timeout=180s');
  }
}

async function both(
  { ours, loop }: { ours: string; loop: string },
  action: (namespace: string) => Promise<unknown>,
): Promise<void> {
  await Promise.all([action(ours), action(loop)]);
}

function kubectl(namespace: string, ...args: string[]): Promise<unknown> {
  return execa('kubectl', ['-n', namespace, ...args]);
}
