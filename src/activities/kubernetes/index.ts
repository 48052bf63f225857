/** Activities on Kubernetes, under the names that follow `kubernetes.` in the contract. */
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import { compareColours } from './blue-green/compare-colours.ts';
import type { BreakerMandate } from './config-map/breaker.ts';
import { compareBreaker } from './config-map/compare-breaker.ts';
import { setBreaker } from './config-map/set-breaker.ts';
import { compareRedirect } from './ingress/compare-redirect.ts';
import { type ExtraMandate, setExtraIngress } from './ingress/extra-ingress.ts';
import type { BackendsMandate } from './ingress/ingress.ts';
import { swapBackends } from './ingress/swap-backends.ts';
import { restartWorkload } from './restart/restart-workload.ts';
import type { RestartMandate } from './restart/workload.ts';
import { deleteDeployment, type DeletionMandate } from './deployment/delete-deployment.ts';
import type { ReplicasMandate } from './deployment/replicas.ts';
import { scaleDeployment } from './deployment/scale-deployment.ts';
import { stopDeployment } from './deployment/stop-deployment.ts';
import { compareCanary } from './canary/compare-canary.ts';
import type {
  CanaryDeletionMandate,
  CanaryReplicasMandate,
  RoutesMandate,
} from './canary/canary-change.ts';
import { deleteCanary } from './canary/delete-canary.ts';
import { scaleCanary } from './canary/scale-canary.ts';
import { compareRevisions } from './deployment/compare-revisions.ts';
import type { DeploymentMandate } from './deployment/deployment-change.ts';
import { driveRollout } from './deployment/drive-rollout.ts';
import { giveUpRollout } from './deployment/given-up.ts';
import { handBackDeployment } from './deployment/hand-back-deployment.ts';
import { restoreTemplate } from './deployment/restore-template.ts';
import { driveEndpoints } from './service/drive-endpoints.ts';
import type { SelectorMandate } from './service/service.ts';
import { switchSelector } from './service/switch-selector.ts';
import { backUpState } from './stateful-set/back-up-state.ts';
import { compareStatefulSet } from './stateful-set/compare-stateful-set.ts';
import { driveStatefulSet } from './stateful-set/drive-stateful-set.ts';
import { handBackStatefulSet } from './stateful-set/hand-back-stateful-set.ts';
import { restoreStatefulSet } from './stateful-set/restore-stateful-set.ts';
import { compareState, restoreState } from './stateful-set/restore-state.ts';
import type {
  BackupMandate,
  StateMandate,
  TemplateMandate,
} from './stateful-set/stateful-set-change.ts';

export function kubernetesActivities(parts: PlanningParts) {
  const { clusters, settings } = parts;
  return {
    planDeploymentRollback: planning(parts, 'deployment'),
    planServicesRollback: planning(parts, 'services'),
    compareRevisions: (mandate: DeploymentMandate) => compareRevisions(clusters, mandate),
    restoreTemplate: (mandate: DeploymentMandate) => restoreTemplate(clusters, mandate),
    driveRollout: (mandate: DeploymentMandate) =>
      driveRollout(clusters, mandate, activityProgress()),
    /** `givesUp` where the run ends with it, so that the next one does not see its rollout through. */
    handBackDeployment: (mandate: DeploymentMandate, givesUp = false) =>
      givesUp ? giveUpRollout(clusters, mandate) : handBackDeployment(clusters, mandate),
    planCircuitBreaker: planning(parts, 'circuit-breaker'),
    compareBreaker: (mandate: BreakerMandate) => compareBreaker(clusters, mandate),
    setBreaker: (mandate: BreakerMandate) => setBreaker(clusters, settings, mandate),
    restartWorkload: (mandate: RestartMandate) =>
      restartWorkload(clusters, mandate, activityProgress()),
    planRedirect: planning(parts, 'redirect'),
    compareRedirect: (mandate: BackendsMandate | ExtraMandate) =>
      compareRedirect(clusters, mandate),
    swapBackends: (mandate: BackendsMandate) => swapBackends(clusters, mandate),
    setExtraIngress: (mandate: ExtraMandate) => setExtraIngress(clusters, mandate),
    planBlueGreenRollback: planning(parts, 'blue-green'),
    compareColours: (mandate: SelectorMandate) => compareColours(clusters, mandate),
    scaleDeployment: (mandate: ReplicasMandate) =>
      scaleDeployment(clusters, mandate, activityProgress()),
    stopDeployment: (mandate: ReplicasMandate) =>
      stopDeployment(clusters, mandate, activityProgress()),
    deleteDeployment: (mandate: DeletionMandate) => deleteDeployment(clusters, mandate),
    switchSelector: (mandate: SelectorMandate) =>
      switchSelector(clusters, mandate, activityProgress()),
    driveEndpoints: (mandate: SelectorMandate) =>
      driveEndpoints(clusters, mandate, activityProgress()),
    planCanaryRollback: planning(parts, 'canary'),
    compareCanary: (mandate: RoutesMandate) => compareCanary(clusters, mandate),
    scaleCanary: (mandate: CanaryReplicasMandate) =>
      scaleCanary(clusters, mandate, activityProgress()),
    deleteCanary: (mandate: CanaryDeletionMandate) => deleteCanary(clusters, mandate),
    planStatefulSetRollback: planning(parts, 'statefulset'),
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
