/** Activities on Helm releases, under the names that follow `helm.` in the contract. */
import type { Authority } from '../../authority/authority.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { planning } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import { awaitWorkloads } from './await-workloads.ts';
import { compareReleases } from './compare-releases.ts';
import { assertHelm } from './helm-process.ts';
import { planReleaseRollback } from './plan-release-rollback.ts';
import type { ReleaseMandate } from './release-change.ts';
import { rollBackRelease } from './roll-back-release.ts';

export function helmActivities(clusters: Clusters, loaded: LoadedSettings, authority: Authority) {
  const settings = loaded.settings.helm;
  return {
    planReleaseRollback: planning(authority, 'helm', async (input) => {
      const [plan] = await Promise.all([
        planReleaseRollback(clusters, loaded, input),
        assertHelm(settings),
      ]);
      return plan;
    }),
    compareReleases: (mandate: ReleaseMandate) => compareReleases(clusters, mandate),
    rollBackRelease: (mandate: ReleaseMandate) =>
      rollBackRelease(clusters, settings, mandate, activityProgress()),
    awaitWorkloads: (mandate: ReleaseMandate) =>
      awaitWorkloads(clusters, settings, mandate, activityProgress()),
  };
}
export type HelmActivities = ReturnType<typeof helmActivities>;
