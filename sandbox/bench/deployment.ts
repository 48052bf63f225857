import { execa } from 'execa';
import { median, timed, type Row } from './row.ts';

const namespace = 'bench';
const replicas = 10;

/**
 * Rollback of a Deployment with ten pods that are ready after 3 s, from the start of the command to
 * all available: `rollback deployment` against `kubectl rollout undo` and `kubectl rollout status`.
 * Counts the fewest pods that were available meanwhile, too.
 */
export async function* benchDeployment(rounds: number): AsyncGenerator<Row> {
  await execa('kubectl', ['create', 'namespace', namespace]);
  for (const name of ['auto', 'steady', 'kubectl']) {
    await kubectl(
      'create',
      'deployment',
      name,
      '--image=wakala/api:1.0.0',
      `--replicas=${replicas}`,
    );
  }
  const ratios: Record<'auto' | 'steady', number[]> = { auto: [], steady: [] };
  const times: Record<string, number[]> = { auto: [], steady: [], kubectl: [] };
  const lowest: Record<string, number> = { auto: replicas, steady: replicas, kubectl: replicas };
  for (let round = 1; round <= rounds; round++) {
    for (const name of ['auto', 'steady', 'kubectl']) {
      await kubectl('set', 'image', `deployment/${name}`, `*=wakala/api:2.0.${round}`);
    }
    for (const name of ['auto', 'steady', 'kubectl']) await status(name);
    const took = {
      kubectl: await watched(
        'kubectl',
        async () => {
          await kubectl('rollout', 'undo', 'deployment/kubectl');
          await status('kubectl');
        },
        lowest,
      ),
      auto: await watched('auto', () => rollback('auto', 'auto'), lowest),
      steady: await watched('steady', () => rollback('steady', 'steady'), lowest),
    };
    for (const [name, ms] of Object.entries(took)) times[name]?.push(ms);
    ratios.auto.push(took.auto / took.kubectl);
    ratios.steady.push(took.steady / took.kubectl);
  }
  const of = (name: string) =>
    `${Math.round(median(times[name] ?? []))} ms, at least ${lowest[name]} available`;
  for (const pace of ['auto', 'steady'] as const) {
    const kubectlMs = median(times.kubectl ?? []);
    yield {
      what: `Deployment rollback, ${replicas} pods, pace ${pace}, against kubectl`,
      figure: Number(median(ratios[pace]).toFixed(3)),
      unit: 'x',
      asked: pace === 'auto' ? 0.6 : Number((1 + 300 / kubectlMs).toFixed(3)),
      details: `ours ${of(pace)}; kubectl ${of('kubectl')}`,
    };
  }
}

function rollback(name: string, pace: string): Promise<unknown> {
  return execa('rollback', ['deployment', name, '-n', namespace, '--pace', pace, '--json']);
}

function status(name: string): Promise<unknown> {
  return kubectl('rollout', 'status', `deployment/${name}`, '--timeout=120s');
}

function kubectl(...args: string[]): Promise<unknown> {
  return execa('kubectl', ['-n', namespace, ...args]);
}

/** Times `action` and keeps the fewest pods of the Deployment that were available meanwhile. */
async function watched(
  name: string,
  action: () => Promise<unknown>,
  lowest: Record<string, number>,
): Promise<number> {
  const path = 'jsonpath={.status.availableReplicas}{"\\n"}';
  const watch = execa(
    'kubectl',
    ['-n', namespace, 'get', 'deployment', name, '--watch', '-o', path],
    { reject: false },
  );
  watch.stdout.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n').filter(Boolean)) {
      lowest[name] = Math.min(lowest[name] ?? replicas, Number(line));
    }
  });
  try {
    return await timed(action);
  } finally {
    watch.kill();
    await watch;
  }
}
