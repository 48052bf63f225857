/** Hooks that Helm runs on a rollback: those of the revision that it goes to. */
import type { V1Job } from '@kubernetes/client-node';
import { matches } from '../../contract/pattern.ts';
import type { Cluster, Wire } from '../kubernetes/api.ts';
import { parseManifest } from './manifest.ts';
import type { Hook, Release } from './releases.ts';

type Job = Wire<V1Job>;

const rollbackEvents = ['pre-rollback', 'post-rollback'];
const runningKinds = ['Job', 'Pod'];

export function rollbackHooks({ hooks }: Pick<Release, 'hooks'>): Hook[] {
  return hooks.filter(({ events }) => events.some((event) => rollbackEvents.includes(event)));
}

/**
 * Those of them that change data.
 * @param patterns names from the settings, `*` for anything; without them, all that run a program
 */
export function migrations(release: Pick<Release, 'hooks'>, patterns?: string[]): Hook[] {
  return rollbackHooks(release).filter(({ name, kind }) =>
    patterns ? matches(name, patterns) : runningKinds.includes(kind),
  );
}

/** `Job wakala-migrate (pre-rollback)` */
export function hookInWords({ kind, name, events }: Hook): string {
  return `${kind} ${name} (${events.filter((event) => rollbackEvents.includes(event)).join(', ')})`;
}

/** The Jobs among hooks, as they are in the cluster now. */
export async function readHookJobs(
  cluster: Cluster,
  namespace: string,
  hooks: readonly Hook[],
): Promise<Job[]> {
  const jobs = hooks
    .filter(({ kind }) => kind === 'Job')
    .flatMap(({ manifest }) => [...parseManifest(manifest, namespace).values()]);
  const found = await Promise.all(
    jobs.map(({ metadata: { name, namespace: own = namespace } }) =>
      cluster.find<Job>(`/apis/batch/v1/namespaces/${own}/jobs/${name}`),
    ),
  );
  return found.filter((job) => job !== undefined);
}

/** Why a hook's Job failed, in its own words; undefined where it did not. */
export function failureOf({ metadata, status }: Job): string | undefined {
  const failed = status?.conditions?.find((one) => one.type === 'Failed' && one.status === 'True');
  return failed && `hook Job ${metadata?.name}: ${failed.reason}: ${failed.message}`;
}

export function isRunning({ status }: Job): boolean {
  const ended = ['Complete', 'Failed'];
  return !status?.conditions?.some((one) => ended.includes(one.type) && one.status === 'True');
}
