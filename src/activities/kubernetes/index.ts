/** Activities on Kubernetes, under the names that follow `kubernetes.` in the contract. */
import type { Authority } from '../../authority/authority.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { planning } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import type { Clusters } from './api.ts';
import { compareColours } from './blue-green/compare-colours.ts';
import { planBlueGreenRollback } from './blue-green/plan-blue-green-rollback.ts';
import { deleteDeployment, type DeletionMandate } from './deployment/delete-deployment.ts';
import type { ReplicasMandate } from './deployment/replicas.ts';
import { scaleDeployment } from './deployment/scale-deployment.ts';
import { compareRevisions } from './deployment/compare-revisions.ts';
import type { DeploymentMandate } from './deployment/deployment-change.ts';
import { driveRollout } from './deployment/drive-rollout.ts';
import { handBackDeployment } from './deployment/hand-back-deployment.ts';
import { planDeploymentRollback } from './deployment/plan-deployment-rollback.ts';
import { planServicesRollback } from './deployment/plan-services-rollback.ts';
import { restoreTemplate } from './deployment/restore-template.ts';
import { driveEndpoints } from './service/drive-endpoints.ts';
import type { SelectorMandate } from './service/service.ts';
import { switchSelector } from './service/switch-selector.ts';
import { backUpState } from './stateful-set/back-up-state.ts';
import { compareStatefulSet } from './stateful-set/compare-stateful-set.ts';
import { driveStatefulSet } from './stateful-set/drive-stateful-set.ts';
import { handBackStatefulSet } from './stateful-set/hand-back-stateful-set.ts';
import { planStatefulSetRollback } from './stateful-set/plan-stateful-set-rollback.ts';
import { restoreStatefulSet } from './stateful-set/restore-stateful-set.ts';
import { compareState, restoreState } from './stateful-set/restore-state.ts';
import type {
  BackupMandate,
  StateMandate,
  TemplateMandate,
} from './stateful-set/stateful-set-change.ts';

export function kubernetesActivities(
  clusters: Clusters,
  settings: LoadedSettings,
  authority: Authority,
) {
  return {
    planDeploymentRollback: planning(authority, 'deployment', (input) =>
      planDeploymentRollback(clusters, settings, input),
    ),
    planServicesRollback: planning(authority, 'services', (input) =>
      planServicesRollback(clusters, settings, input),
    ),
    compareRevisions: (mandate: DeploymentMandate) => compareRevisions(clusters, mandate),
    restoreTemplate: (mandate: DeploymentMandate) => restoreTemplate(clusters, mandate),
    driveRollout: (mandate: DeploymentMandate) =>
      driveRollout(clusters, mandate, activityProgress()),
    handBackDeployment: (mandate: DeploymentMandate) => handBackDeployment(clusters, mandate),
    planBlueGreenRollback: planning(authority, 'blue-green', (input) =>
      planBlueGreenRollback(clusters, settings, input),
    ),
    compareColours: (mandate: SelectorMandate) => compareColours(clusters, mandate),
    scaleDeployment: (mandate: ReplicasMandate) =>
      scaleDeployment(clusters, mandate, activityProgress()),
    deleteDeployment: (mandate: DeletionMandate) => deleteDeployment(clusters, mandate),
    switchSelector: (mandate: SelectorMandate) => switchSelector(clusters, mandate),
    driveEndpoints: (mandate: SelectorMandate) =>
      driveEndpoints(clusters, mandate, activityProgress()),
    planStatefulSetRollback: planning(authority, 'statefulset', (input) =>
      planStatefulSetRollback(clusters, settings, input),
    ),
    compareStatefulSet: (mandate: TemplateMandate) => compareStatefulSet(clusters, mandate),
    compareState: (mandate: StateMandate) => compareState(clusters, mandate),
    backUpState: (mandate: BackupMandate) => backUpState(clusters, mandate, activityProgress()),
    restoreStatefulSet: (mandate: TemplateMandate) => restoreStatefulSet(clusters, mandate),
    driveStatefulSet: (mandate: TemplateMandate) =>
      driveStatefulSet(clusters, mandate, activityProgress()),
    restoreState: (mandate: StateMandate) => restoreState(clusters, mandate, activityProgress()),
    handBackStatefulSet: (mandate: TemplateMandate) => handBackStatefulSet(clusters, mandate),
  };
}
export type KubernetesActivities = ReturnType<typeof kubernetesActivities>;
