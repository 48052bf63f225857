/** The worker's process: `npm run worker`. */
import { watchFile } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { Client } from '@temporalio/client';
import { NativeConnection, Runtime } from '@temporalio/worker';
import { Clusters } from '../activities/kubernetes/api.ts';
import { Locks } from '../activities/lock/locks.ts';
import { loadSettings, SettingsError, type LoadedSettings } from '../config/settings.ts';
import { SettingsSource } from '../config/settings-source.ts';
import { loadAuthority } from '../authority/load.ts';
import { createWorker } from './create-worker.ts';
import { log, tellInLog, temporalLogger } from './log.ts';
import { registerSearchAttributes, SearchAttributesMissing } from './register-search-attributes.ts';
import { stopOnSignal } from './stop-on-signal.ts';
import { watchCluster } from './watch-cluster.ts';
import { workflowBundle as bundleOf } from './workflow-bundle.ts';

const retryEveryMs = 2000;
/** How often the worker looks whether its settings have changed; each activity does as well. */
const lookEveryMs = 2000;

async function main(): Promise<void> {
  const settings = loadSettings();
  const source = new SettingsSource(settings, (level, text) => log[level](text));
  log.level = settings.settings.worker.logLevel;
  installRuntime(settings);
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  const address = connectionOptions.address ?? 'localhost:7233';
  const stop = stopOnSignal();

  const { register, key } = await loadAuthority(settings, address);
  const [workflowBundle, connection] = await Promise.all([
    bundleOf(temporalLogger),
    connect(() => NativeConnection.connect(connectionOptions), address, stop.signal),
  ]);
  if (!connection) return;
  try {
    await registerSearchAttributes(connection, namespace);
    const clusters = new Clusters(settings.settings.kubernetes.context);
    const locks = new Locks(new Client({ connection, namespace }));
    const worker = await createWorker({
      ...{ connection, namespace, settings: source, workflowBundle, register, key },
      ...{ clusters, locks, tell: tellInLog },
    });
    // So that a mistake in them is told when it is made, and not in the night when a run begins.
    watchFile(settings.file, { interval: lookEveryMs, persistent: false }, () => source.current());
    const running = worker.run();
    log.info({ address, namespace, settings: settings.file }, 'worker is ready');
    void watchCluster(clusters, log, stop.signal);
    await running;
    await locks.settle();
    log.info('worker has stopped');
  } finally {
    stop.abort();
    await connection.close();
  }
}

function installRuntime({ settings }: LoadedSettings): void {
  const { metricsAddress, logLevel } = settings.worker;
  const coreLevel = logLevel === 'debug' ? 'INFO' : 'WARN';
  try {
    Runtime.install({
      logger: temporalLogger,
      telemetryOptions: {
        logging: { forward: {}, filter: { core: coreLevel, other: coreLevel } },
        ...(metricsAddress ? { metrics: { prometheus: { bindAddress: metricsAddress } } } : {}),
      },
    });
  } catch (error) {
    if (!metricsAddress) throw error;
    throw new SettingsError(
      `worker.metricsAddress is ${metricsAddress}, where nothing can be served (${(error as Error).message}): a worker that runs already may have it. Name an address of its own for each, or leave it out for none.`,
    );
  }
}

/** Connects as soon as the server answers, saying once that it does not; undefined where stopped first. */
async function connect(
  attempt: () => Promise<NativeConnection>,
  address: string,
  stop: AbortSignal,
): Promise<NativeConnection | undefined> {
  for (let told = false; !stop.aborted; told = true) {
    try {
      const connection = await attempt();
      if (told) log.info({ address }, 'Temporal answers again');
      return connection;
    } catch (error) {
      if (!told) {
        log.warn(
          { address, error: (error as Error).message },
          `Temporal at ${address} cannot be reached: start it, or set TEMPORAL_ADDRESS; trying again every ${retryEveryMs / 1000} s`,
        );
      }
      await delay(retryEveryMs, undefined, { signal: stop }).catch(() => undefined);
    }
  }
  return undefined;
}

try {
  await main();
} catch (error) {
  const expected = error instanceof SettingsError || error instanceof SearchAttributesMissing;
  for (const line of (error as Error).message.split('\n')) log.fatal(line);
  if (!expected) log.fatal({ stack: (error as Error).stack }, 'worker ends');
  process.exitCode = 1;
}
