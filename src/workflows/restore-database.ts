import { patched } from '@temporalio/workflow';
import type { RestoreChange, SwapChange } from '../activities/postgres/restore/restore-change.ts';
import type { ClearingChange } from '../activities/redis/cache-change.ts';
import type { ReplicasChange } from '../activities/kubernetes/deployment/replicas.ts';
import type { Effect } from '../contract/plan.ts';
import { identifier, shellWord } from '../contract/printable.ts';
import { kubernetes, postgres, redis } from './run/proxies.ts';
import type { ChangeMandate, Run } from './run/run.ts';
import { runbook } from './run/runbook.ts';

/**
 * R12: where asked `kubectl scale --replicas=0`, `pg_restore --jobs=4` into a copy, a look at the copy, and
 * `ALTER DATABASE ... RENAME` of both in one transaction. What was live is kept.
 */
export const restoreDatabase = runbook('database', {
  plan: (...request) => postgres.planRestore(...request),

  async steps(run) {
    const services = servicesOf(run);
    for (const service of services) {
      run.ifCutShort(`Start ${service.name}`, () => startAgain(service));
    }
    await run.together(services.map((service) => () => stopService(run, service)));
    for (const restore of run.changes<RestoreChange>('restore')) {
      await run.step('Restore the backup beside it', {
        isNeeded: true,
        do: () => postgres.restoreCopy(restore),
        undo: async () => {
          // Services must not stand still for a copy that cannot be dropped.
          if (services.length > 0 && patched('starts-before-the-copy-goes')) {
            await Promise.all(services.map(startAgain));
          }
          return postgres.restoreCopy(restore.inverse);
        },
      });
      await run.step('Verify the copy', { do: () => postgres.verifyCopy(restore) });
    }
    const caches = run.changes<ClearingChange>('cache');
    for (const swap of run.changes<SwapChange>('swap')) {
      await run.step('Swap the databases', {
        isNeeded: true,
        do: () => postgres.swapDatabases(swap),
        undo: async () => {
          const { text } = await postgres.swapDatabases(swap.inverse);
          for (const cache of caches) await redis.clearCache(cache.inverse);
          return text;
        },
        undoOnlyIf: () => postgres.compareDatabases(swap),
      });
    }
    // Services must not stand still for a cache that does not answer.
    await run.together([
      ...caches.map((cache) => () => clearCache(run, cache)),
      ...services.map((service) => () => startService(run, service)),
    ]);
  },

  next: ({ changes, targets: [target] }, id) =>
    changes.some(({ kind }) => kind === 'database/swap')
      ? [`If it was wrong, swap back: ${swapBack(String(target?.namespace), id)}`]
      : changes.map(({ after: { copy, address: known } }) => {
          const address = (name: string) =>
            shellWord(addressOf(target?.context ?? '', name, known));
          return `Copy rows out of it: pg_dump --data-only -t TABLE -d ${address(String(copy))} | psql -X -1 -v ON_ERROR_STOP=1 -d ${address(target?.name ?? '')}; then in psql: DROP DATABASE ${identifier(String(copy))}`;
        }),

  byHand: ({ targets, changes }, id) =>
    targets.flatMap(({ kind, context, namespace, name }) =>
      kind === 'database'
        ? [
            `See which databases there are: rollback history database/${namespace}`,
            ...(changes.some((change) => change.kind === 'database/swap')
              ? [`Where they were swapped, swap them back: ${swapBack(namespace, id)}`]
              : []),
          ]
        : kind === 'deployment'
          ? [
              `See whether it runs: kubectl get deployment ${name} -n ${namespace} --context ${context}`,
            ]
          : [],
    ),
});

function swapBack(name: string, id: string): string {
  return `rollback database ${name} --undo ${shellWord(id)}`;
}

/** A service that stands still for the restore. */
interface Service {
  name: string;
  stop: ChangeMandate<ReplicasChange>;
  start: ChangeMandate<ReplicasChange>;
  /** Whether its start was taken back, so that the databases are swapped back while it stands still. */
  isStoppedAgain: boolean;
}

function servicesOf(run: Run): Service[] {
  const starts = run.changes<ReplicasChange>('start');
  return run.changes<ReplicasChange>('stop').flatMap((stop) => {
    const { name, uid } = stop.change.target;
    const start = starts.find(({ change: { target } }) => target.uid === uid);
    return start ? [{ name, stop, start, isStoppedAgain: false }] : [];
  });
}

/** Starts a service. What the run has taken back it may not do again: then its stop is taken back. */
function startAgain({ stop, start, isStoppedAgain }: Service): Promise<Effect> {
  return kubernetes.scaleDeployment(isStoppedAgain ? stop.inverse : start);
}

/**
 * Of a database on a server, for PostgreSQL's programs: of any name, and with no password in it.
 * @param known address of another database of the server; without it, the account is not known
 */
function addressOf(server: string, database: string, known: unknown): string {
  if (typeof known === 'string') {
    const url = new URL(known);
    url.pathname = `/${encodeURIComponent(database)}`;
    return url.href;
  }
  const at = server.lastIndexOf(':');
  const [host, port] = [server.slice(0, at), server.slice(at + 1)];
  return `postgres://${encodeURIComponent(host)}:${port}/${encodeURIComponent(database)}`;
}

async function stopService(run: Run, { name, stop }: Service): Promise<void> {
  await run.step(`Stop ${name}`, {
    do: () => kubernetes.stopDeployment(stop),
    undo: () => kubernetes.scaleDeployment(stop.inverse),
  });
}

async function startService(run: Run, service: Service): Promise<void> {
  const [swap] = run.changes<SwapChange>('swap');
  const { name, start } = service;
  await run.step(`Start ${name}`, {
    do: () => kubernetes.scaleDeployment(start),
    undo: () => {
      service.isStoppedAgain = true;
      return kubernetes.stopDeployment(start.inverse);
    },
    // Where the swap stays, so do those who work with it.
    ...(swap ? { undoOnlyIf: () => postgres.compareDatabases(swap) } : {}),
  });
}

async function clearCache(run: Run, cache: ChangeMandate<ClearingChange>): Promise<void> {
  await run.step(`Clear cache ${cache.change.target.name}`, { do: () => redis.clearCache(cache) });
}
