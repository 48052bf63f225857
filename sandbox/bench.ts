/**
 * `npm run bench`: what design figures say, measured on a sandbox of its own, ours and the
 * runbook's commands in turn. Prints medians and ratios and writes them to build/bench.json.
 */
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { stopOnSignal } from '../src/workers/stop-on-signal.ts';
import { benchBlueGreen } from './bench/blue-green.ts';
import { benchDatabase } from './bench/database.ts';
import { benchDeployment } from './bench/deployment.ts';
import { benchHelm } from './bench/helm.ts';
import { benchOrchestration } from './bench/orchestration.ts';
import type { Row } from './bench/row.ts';
import { benchRestart } from './bench/restart.ts';
import { benchServices } from './bench/services.ts';
import { benchStart } from './bench/start.ts';
import { benchStatefulSet } from './bench/stateful-set.ts';
import { benchWaiting } from './bench/waiting.ts';
import { down, up } from './sandbox.ts';
import { repository } from './setup/folders.mjs';

const benches = {
  start: benchStart,
  orchestration: benchOrchestration,
  deployment: benchDeployment,
  services: benchServices,
  helm: benchHelm,
  'blue-green': benchBlueGreen,
  'stateful-set': benchStatefulSet,
  database: benchDatabase,
  restart: benchRestart,
  waiting: benchWaiting,
};

const options = new Command('npm run bench --')
  .description('Measures rollbacks against kubectl and helm on a sandbox of its own.')
  .option('--rounds <number>', 'rounds of each pair', Number, 5)
  .addOption(new Option('--only <names...>', 'some of it').choices(Object.keys(benches)))
  .parse()
  .opts<{ rounds: number; only?: string[] }>();

const dir = mkdtempSync(join(tmpdir(), 'rollback-bench-'));
// PostgreSQL does not run as root, and its own user must reach its data below.
chmodSync(dir, 0o755);
const stop = stopOnSignal();
process.stderr.write('Starting a sandbox whose pods are ready after 3 s.\n');
try {
  Object.assign(process.env, await up({ dir, readyMs: 3000, worker: true, signal: stop.signal }));
  const interrupted = once(stop.signal, 'abort').then(() => {
    throw new Error('Interrupted: nothing was written.');
  });
  await Promise.race([measure(), interrupted]);
} finally {
  await down(dir);
}

async function measure(): Promise<void> {
  const rows: Row[] = [];
  for (const [name, bench] of Object.entries(benches)) {
    if (options.only && !options.only.includes(name)) continue;
    for await (const row of bench(options.rounds, dir)) {
      rows.push(row);
      const mark = row.figure <= row.asked ? 'ok  ' : 'MISS';
      process.stdout.write(
        `${mark} ${row.what}: ${row.figure} ${row.unit}, asked ${row.asked}; ${row.details}\n`,
      );
    }
  }
  const file = join(repository, 'build', 'bench.json');
  mkdirSync(join(repository, 'build'), { recursive: true });
  const machine = { cores: cpus().length, cpu: cpus()[0]?.model, node: process.version };
  writeFileSync(file, JSON.stringify({ at: new Date().toISOString(), machine, rows }, null, 2));
  process.stderr.write(`Written to ${file}.\n`);
}
