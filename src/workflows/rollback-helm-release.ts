import type { ReleaseChange } from '../activities/helm/release-change.ts';
import { helm } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * R4: `helm rollback RELEASE [REVISION]` and `helm status`, with the last good revision resolved once
 * and named, and every pod waited for.
 */
export const rollbackHelmRelease = runbook('helm', {
  plan: (...request) => helm.planReleaseRollback(...request),

  async steps(run) {
    const change = run.change<ReleaseChange>('release');

    await run.step('Roll the release back', {
      isNeeded: true,
      do: () => helm.rollBackRelease(change),
      undo: async () => {
        const { text } = await helm.rollBackRelease(change.inverse);
        return `${text} ${await helm.awaitWorkloads(change.inverse)}`;
      },
      undoOnlyIf: () => helm.compareReleases(change),
    });
    await run.step('Wait for every workload', {
      do: () => helm.awaitWorkloads(change),
    });
  },

  byHand: ({ targets }) => {
    const releases = targets.filter(({ kind }) => kind === 'helm-release');
    return releases.flatMap(({ context, namespace, name }) => [
      `See what stands there: rollback history helm/${name} -n ${namespace} --context ${context}`,
      `Go to a revision by hand: helm rollback ${name} REVISION -n ${namespace} --kube-context ${context} --wait`,
      `Where the newest revision is pending, helm upgrade is refused ("another operation is in progress") until a rollback has ended: the one above, or rollback helm ${name} --to-revision REVISION --take-over -n ${namespace} --context ${context}`,
    ]);
  },
});
