import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clusters } from '../activities/kubernetes/api.ts';

const lookEveryMs = 15_000;

/**
 * Says in the log when the default cluster cannot be reached, and when it can again. The looks also
 * keep the connection to it open, so that a rollback need not make one.
 */
export async function watchCluster(
  clusters: Clusters,
  log: Logger,
  stop: AbortSignal,
): Promise<void> {
  for (let wasDown = false; !stop.aborted;) {
    try {
      const cluster = clusters.of(undefined);
      await cluster.get('/version');
      if (wasDown) log.info({ context: cluster.context }, 'Kubernetes answers again');
      wasDown = false;
    } catch (error) {
      if (!wasDown) log.warn((error as Error).message);
      wasDown = true;
    }
    await delay(lookEveryMs, undefined, { signal: stop }).catch(() => undefined);
  }
}
