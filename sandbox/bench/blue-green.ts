import { execa } from 'execa';
import { colourManifest, serviceManifest } from '../kubernetes/manifests.ts';
import { median, timed, type Row } from './row.ts';

const replicas = 10;

/**
 * Traffic goes back to the other colour, which was scaled to zero as the runbook leaves it, from the
 * start of the command to the last of its steps: `rollback blue-green` against the runbook's kubectl
 * commands, with the scaling up that they forget before them. Counts the fewest ready endpoints of
 * the Service meanwhile, too.
 */
export async function* benchBlueGreen(rounds: number): AsyncGenerator<Row> {
  const twins = { ours: 'bench-colours-ours', kubectl: 'bench-colours-kubectl' };
  const times = { ours: [] as number[], kubectl: [] as number[] };
  const fewest = { ours: replicas, kubectl: replicas };
  try {
    await Promise.all(Object.values(twins).map(makeColours));
    for (let round = 0; round < rounds; round++) {
      const [to, from] = round % 2 === 0 ? ['blue', 'green'] : ['green', 'blue'];
      const turns = {
        kubectl: () => byHand(twins.kubectl, to, from),
        ours: () =>
          execa('rollback', [...['blue-green', 'web', '-n', twins.ours, '--to', to, '--json']]),
      };
      for (const who of ['kubectl', 'ours'] as const) {
        const watch = watchFewest(twins[who]);
        times[who].push(await timed(turns[who]));
        fewest[who] = Math.min(fewest[who], await watch.stop());
        // What is deleted in the background must not cost the next one time.
        const left = ['pods', '-l', `version=${from}`, '--timeout=60s'];
        await execa('kubectl', ['-n', twins[who], 'wait', '--for=delete', ...left]);
      }
    }
    const ratios = times.ours.map((ms, round) => ms / (times.kubectl[round] ?? Number.NaN));
    const of = (who: 'ours' | 'kubectl') =>
      `${Math.round(median(times[who]))} ms, at least ${fewest[who]} ready endpoints`;
    yield {
      what: `Blue-green, ${replicas} pods, against kubectl`,
      figure: Number(median(ratios).toFixed(3)),
      unit: 'x',
      asked: 1.05,
      details: `ours ${of('ours')}; kubectl ${of('kubectl')}`,
    };
  } finally {
    await execa('kubectl', ['delete', 'namespace', '--wait=false', ...Object.values(twins)]);
  }
}

async function makeColours(namespace: string): Promise<void> {
  await execa('kubectl', ['create', 'namespace', namespace]);
  const items = [
    colourManifest('web', 'blue', 'wakala/api:1.0.0', { replicas: 0 }),
    colourManifest('web', 'green', 'wakala/api:2.0.0-bad', { replicas }),
    serviceManifest('web', { app: 'web', version: 'green' }),
  ];
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await execa('kubectl', ['-n', namespace, 'apply', '-f', '-'], { input });
  await status(namespace, 'web-green');
  // The endpoints follow a moment later, and the fewest are counted from here on.
  for (let ready = 0; ready < replicas;) ready = await readyEndpoints(namespace);
}

async function readyEndpoints(namespace: string): Promise<number> {
  const path = 'jsonpath={.items[*].endpoints[*].conditions.ready}';
  const args = ['get', 'endpointslices', '-l', 'kubernetes.io/service-name=web', '-o', path];
  const { stdout } = await execa('kubectl', ['-n', namespace, ...args]);
  return stdout.split(' ').filter((one) => one === 'true').length;
}

async function byHand(namespace: string, to: string, from: string): Promise<void> {
  const kubectl = (...args: string[]) => execa('kubectl', ['-n', namespace, ...args]);
  await kubectl('scale', 'deployment', `web-${to}`, `--replicas=${replicas}`);
  await status(namespace, `web-${to}`);
  const patch = JSON.stringify({ spec: { selector: { version: to } } });
  await kubectl('patch', 'service', 'web', '-p', patch);
  await kubectl('get', 'endpoints', 'web');
  await kubectl('scale', 'deployment', `web-${from}`, '--replicas=0');
}

function status(namespace: string, name: string): Promise<unknown> {
  return execa('kubectl', ['-n', namespace, 'rollout', 'status', `deployment/${name}`]);
}

/** Follows the Service's endpoints; `stop` answers the fewest that were ready. */
function watchFewest(namespace: string): { stop(): Promise<number> } {
  let fewest = replicas;
  const ready = 'jsonpath={.endpoints[*].conditions.ready}{"\\n"}';
  const selector = ['-l', 'kubernetes.io/service-name=web'];
  const args = ['-n', namespace, 'get', 'endpointslices', ...selector, '--watch', '-o', ready];
  const watch = execa('kubectl', args, { reject: false });
  const read = (async () => {
    for await (const line of watch) {
      fewest = Math.min(fewest, line.split(' ').filter((one) => one === 'true').length);
    }
  })();
  return {
    async stop() {
      watch.kill();
      await read;
      return fewest;
    },
  };
}
