/** Activities on Helm releases, under the names that follow `helm.` in the contract. */
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import { awaitWorkloads } from './await-workloads.ts';
import { chartRights } from './chart-rights.ts';
import { compareReleases } from './compare-releases.ts';
import { assertHelm } from './helm-process.ts';
import type { ReleaseMandate } from './release-change.ts';
import { rollBackRelease } from './roll-back-release.ts';

export function helmActivities(parts: PlanningParts) {
  const { clusters } = parts;
  const settings = parts.settings.settings.helm;
  const plan = planning(parts, 'helm', chartRights);
  return {
    async planReleaseRollback(...request: Parameters<typeof plan>) {
      const [planned] = await Promise.all([plan(...request), assertHelm(settings)]);
      return planned;
    },
    compareReleases: (mandate: ReleaseMandate) => compareReleases(clusters, mandate),
    rollBackRelease: (mandate: ReleaseMandate) =>
      rollBackRelease(clusters, settings, mandate, activityProgress()),
    awaitWorkloads: (mandate: ReleaseMandate) =>
      awaitWorkloads(clusters, settings, mandate, activityProgress()),
  };
}
export type HelmActivities = ReturnType<typeof helmActivities>;
