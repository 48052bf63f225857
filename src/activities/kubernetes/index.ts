/** Activities on Kubernetes, under the names that follow `kubernetes.` in the contract. */
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import { compareRevisions } from './deployment/compare-revisions.ts';
import type { DeploymentMandate } from './deployment/deployment-change.ts';
import { driveRollout } from './deployment/drive-rollout.ts';
import { handBackDeployment } from './deployment/hand-back-deployment.ts';
import { restoreTemplate } from './deployment/restore-template.ts';

export function kubernetesActivities(parts: PlanningParts) {
  const { clusters } = parts;
  return {
    planDeploymentRollback: planning(parts, 'deployment'),
    planServicesRollback: planning(parts, 'services'),
    compareRevisions: (mandate: DeploymentMandate) => compareRevisions(clusters, mandate),
    restoreTemplate: (mandate: DeploymentMandate) => restoreTemplate(clusters, mandate),
    driveRollout: (mandate: DeploymentMandate) =>
      driveRollout(clusters, mandate, activityProgress()),
    handBackDeployment: (mandate: DeploymentMandate) => handBackDeployment(clusters, mandate),
  };
}
export type KubernetesActivities = ReturnType<typeof kubernetesActivities>;
