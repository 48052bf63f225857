import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { deployment, ensureGoodVersion, release, runningVersion } from './demo/deployment.ts';
import { runAddress, runRollback } from './demo/rollback.ts';
import { errorRate, styled, tell, tellSecond, tellStep } from './demo/telling.ts';
import { startTraffic, type Traffic } from './demo/traffic.ts';
import { down, status, up, type Environment } from './sandbox.ts';
import { defaultFolder } from './state.ts';

const badVersion = '2.0.0-bad';
const measureMs = 3000;

const { values: options } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupted.abort(new Error('The demo was interrupted.')));
}

/** Breaks the example service in live traffic, and puts it back. */
async function demo(): Promise<void> {
  const { signal } = interrupted;
  tellStep('Starting the sandbox and a worker');
  const variables = await up({ worker: true, signal, onLine: tell });

  const good = await ensureGoodVersion(variables);
  const traffic = startTraffic(variables.WAKALA_URL);
  try {
    tellStep(`Version ${good} of ${deployment} is in production, with 25 requests a second`);
    traffic.onSecond(tellSecond);
    await sleep(measureMs, undefined, { signal });

    tellStep(`Somebody deploys ${badVersion}`);
    await release(variables, badVersion, `release ${badVersion}`);
    await sleep(measureMs, undefined, { signal });
    traffic.onSecond(undefined);

    await rollBack(variables, traffic, good);
  } finally {
    await traffic.stop();
  }
}

async function rollBack(variables: Environment, traffic: Traffic, good: string): Promise<void> {
  const { signal } = interrupted;
  tellStep(`rollback deployment ${deployment}`);
  traffic.take();
  const began = Date.now();
  const id = await runRollback(variables, signal);
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  const version = await runningVersion(variables);
  if (version !== good) {
    throw new Error(`The rollback ended well, but ${deployment} is at ${version}, not ${good}.`);
  }

  tellStep(`Version ${good} is back after ${seconds} s; meanwhile ${errorRate(traffic.take())}`);
  traffic.onSecond(tellSecond);
  await sleep(measureMs, undefined, { signal });
  traffic.onSecond(undefined);
  const after = traffic.take();
  if (after.failed > 0) {
    throw new Error(
      `After the rollback ${errorRate(after)}; see \`kubectl logs -l app=${deployment}\`.`,
    );
  }
  if (goesOn) tellWhereToLook(variables, id);
}

function tellWhereToLook(variables: Environment, id: string): void {
  tellStep('Where to look');
  tell(`This run       ${styled('cyan', runAddress(variables, id))}`);
  tell('A shell        eval "$(npm run -s sandbox -- env)"');
  tell(`Break it       kubectl set image deployment/${deployment} '*=wakala/api:3.0.0-slow'`);
  tell(`Put it back    rollback deployment ${deployment} --reason "answers take 3 s"`);
  tell('All runs       rollback list');
}

/** Ends the servers that did not run before the demo. */
async function cleanUp(before: readonly string[]): Promise<void> {
  if (before.length === 0) {
    await down();
    return;
  }
  const names = status().map(({ name }) => name);
  await down(defaultFolder(), { only: names.filter((name) => !before.includes(name)) });
}

const before = status()
  .filter(({ state }) => state === 'running')
  .map(({ name }) => name);
/** Whether the servers are still there when the demo has ended. */
const goesOn = options.keep || before.length > 0;
let failed = false;
try {
  await demo();
} catch (error) {
  failed = true;
  const cause: unknown = interrupted.signal.aborted ? interrupted.signal.reason : error;
  console.error(
    `\n${styled('red', 'The demo failed.')} ${cause instanceof Error ? cause.message : String(cause)}`,
  );
}
if (options.keep && !failed) {
  tell('\nThe sandbox goes on; stop it with `npm run sandbox -- down`.');
} else {
  await cleanUp(before);
  if (!failed && before.length === 0) {
    tell(
      '\nThe sandbox is stopped again; `npm run demo -- --keep` leaves it running, and says where to look.',
    );
  }
}
process.exit(failed ? 1 : 0);
