/** What people should know about a rollback of a release beside what it changes. */
import { shellWord } from '../../contract/printable.ts';
import { KubernetesError, type Cluster, type ListOf } from '../kubernetes/api.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { secondsSince } from '../kubernetes/pods.ts';
import { hookInWords, rollbackHooks } from './hooks.ts';
import { makerOf, notesOf } from './notes.ts';
import type { Release, ReleaseHistory } from './releases.ts';

const daySeconds = 86_400;

/** Where a release stands, what an undo would put back there, and where it goes to. */
export interface Ways {
  /** The newest revision. */
  current: Release;
  /** The same, or what was deployed below it where it is pending. */
  left: Release;
  wanted: Release;
}

export async function releaseWarnings(
  cluster: Cluster,
  { namespace, name, records }: ReleaseHistory,
  { current, left, wanted }: Ways,
): Promise<string[]> {
  const lines = [];
  if (current.status.startsWith('pending-')) {
    const maker = makerOf(notesOf(records), current);
    lines.push(
      `Revision ${current.revision} is ${current.status}: ${maker ? `run ${maker.workflowId} has begun it and not finished it, and holds the release if it is still open (rollback status ${shellWord(maker.workflowId)})` : 'the helm that made it counts as dead'}. What it has done so far is not known; all of revision ${wanted.revision} is applied over it.`,
    );
  }
  const hooks = rollbackHooks(wanted);
  if (hooks.length > 0) {
    lines.push(
      `Hooks of revision ${wanted.revision} run with the rollback, and once more where it is interrupted: ${hooks.map(hookInWords).join('; ')}.`,
    );
  }
  const back = rollbackHooks(left);
  if (back.length > 0) {
    lines.push(
      `Taking it back would run hooks of revision ${left.revision}: ${back.map(hookInWords).join('; ')}.`,
    );
  }
  if (left.crds !== wanted.crds) {
    lines.push(
      `The CustomResourceDefinitions of the two charts differ. Helm never rolls those back: they stay as they are.`,
    );
  }
  lines.push(...(await fluxWarning(cluster, namespace, name)));
  const age = secondsSince(current.updated);
  if (current.status === 'deployed' && age !== undefined && age > daySeconds) {
    lines.push(
      `What runs now was deployed ${Math.floor(age / daySeconds)} days ago: make sure that it is the version to leave.`,
    );
  }
  lines.push(
    'Data, volumes and what was changed by hand on fields that the chart does not set stay as they are.',
  );
  return lines;
}

interface HelmRelease extends KubernetesObject {
  spec?: { releaseName?: string; suspend?: boolean };
}

/** Flux installs releases of its own, and corrects what others do to them. */
async function fluxWarning(cluster: Cluster, namespace: string, name: string): Promise<string[]> {
  const path = `/apis/helm.toolkit.fluxcd.io/v2/namespaces/${namespace}/helmreleases`;
  try {
    const items = (await cluster.find<ListOf<HelmRelease>>(path))?.items ?? [];
    return items
      .filter(({ metadata, spec }) => (spec?.releaseName ?? metadata?.name) === name)
      .filter(({ spec }) => spec?.suspend !== true)
      .map(
        ({ metadata }) =>
          `Flux owns this release (HelmRelease ${metadata?.name}) and upgrades it again: suspend it first (flux suspend helmrelease ${metadata?.name} -n ${namespace}), and revert in git.`,
      );
  } catch (error) {
    // Where Flux is not there, a role may well not name its kinds.
    if (error instanceof KubernetesError && error.status === 403) return [];
    throw error;
  }
}
