import { patched } from '@temporalio/workflow';
import type { RestoreChange, SwapChange } from '../activities/postgres/restore/restore-change.ts';
import type { ClearingChange } from '../activities/redis/cache-change.ts';
import type { ReplicasChange } from '../activities/kubernetes/deployment/replicas.ts';
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
    for (const start of run.changes<ReplicasChange>('start')) {
      const { name } = start.change.target;
      run.ifCutShort(`Start ${name}`, () => kubernetes.scaleDeployment(start));
    }
    await run.together(
      run.changes<ReplicasChange>('stop').map((stop) => () => stopService(run, stop)),
    );
    for (const restore of run.changes<RestoreChange>('restore')) {
      await run.step('Restore the backup beside it', {
        isNeeded: true,
        do: () => postgres.restoreCopy(restore),
        undo: async () => {
          await startAgain(run);
          return postgres.restoreCopy(restore.inverse);
        },
      });
      await run.step('Verify the copy', { do: () => postgres.verifyCopy(restore) });
    }
    const caches = run.changes<ClearingChange>('cache');
    const starts = run.changes<ReplicasChange>('start');
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
      ...starts.map((start) => () => startService(run, start)),
    ]);
  },

  next: ({ changes, targets: [target] }, id) =>
    changes.some(({ kind }) => kind === 'database/swap')
      ? [`If it was wrong, swap back: rollback database ${target?.namespace} --undo ${id}`]
      : changes.map(({ after: { copy, address: known } }) => {
          const address = (name: string) =>
            shellWord(addressOf(target?.context ?? '', name, known));
          return `Copy rows out of it: pg_dump --data-only -t TABLE -d ${address(String(copy))} | psql -X -1 -v ON_ERROR_STOP=1 -d ${address(target?.name ?? '')}; then in psql: DROP DATABASE ${identifier(String(copy))}`;
        }),

  byHand: ({ targets }) =>
    targets.flatMap(({ kind, context, namespace, name }) =>
      kind === 'database'
        ? [`See which databases there are: rollback history database/${namespace}`]
        : kind === 'deployment'
          ? [
              `See whether it runs: kubectl get deployment ${name} -n ${namespace} --context ${context}`,
            ]
          : [],
    ),
});

/** Services must not stand still for a copy that cannot be dropped. */
async function startAgain(run: Run): Promise<void> {
  const starts = run.changes<ReplicasChange>('start');
  if (starts.length === 0 || !patched('starts-before-the-copy-goes')) return;
  await Promise.all(starts.map((start) => kubernetes.scaleDeployment(start)));
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

async function stopService(run: Run, stop: ChangeMandate<ReplicasChange>): Promise<void> {
  await run.step(`Stop ${stop.change.target.name}`, {
    do: () => kubernetes.stopDeployment(stop),
    undo: () => kubernetes.scaleDeployment(stop.inverse),
  });
}

async function startService(run: Run, start: ChangeMandate<ReplicasChange>): Promise<void> {
  const [swap] = run.changes<SwapChange>('swap');
  await run.step(`Start ${start.change.target.name}`, {
    do: () => kubernetes.scaleDeployment(start),
    undo: () => kubernetes.stopDeployment(start.inverse),
    // Where the swap stays, so do those who work with it.
    ...(swap ? { undoOnlyIf: () => postgres.compareDatabases(swap) } : {}),
  });
}

async function clearCache(run: Run, cache: ChangeMandate<ClearingChange>): Promise<void> {
  await run.step(`Clear cache ${cache.change.target.name}`, { do: () => redis.clearCache(cache) });
}
