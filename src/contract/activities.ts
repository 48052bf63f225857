/**
 * Every activity by the name that histories freeze, with its class. A class decides time limits,
 * retries, and whether the guard stands before it: see `isGuarded`.
 *
 * - `observe`: reads, short.
 * - `mutate`: makes one planned change true, short.
 * - `drive`: sees a planned change through to its end, as long as that takes.
 * - `check`: measures the effect of a planned change; a red check is a failure.
 * - `wait`: waits for others, reading only.
 * - `lock`: takes and frees the locks of a plan, at once.
 * - `assess`: tells whose approval is there and whose is missing, at once.
 * - `tell`: tells people; no run fails because nobody could be told.
 */
export const activityClasses = {
  'kubernetes.planDeploymentRollback': 'observe',
  'kubernetes.planServicesRollback': 'observe',
  'kubernetes.compareRevisions': 'observe',
  'kubernetes.restoreTemplate': 'mutate',
  'kubernetes.driveRollout': 'drive',
  'kubernetes.handBackDeployment': 'mutate',
  'kubernetes.planCircuitBreaker': 'observe',
  'kubernetes.compareBreaker': 'observe',
  'kubernetes.setBreaker': 'mutate',
  'kubernetes.restartWorkload': 'drive',
  'kubernetes.planRedirect': 'observe',
  'kubernetes.compareRedirect': 'observe',
  'kubernetes.swapBackends': 'mutate',
  'kubernetes.setExtraIngress': 'mutate',
  'kubernetes.planBlueGreenRollback': 'observe',
  'kubernetes.compareColours': 'observe',
  'kubernetes.scaleDeployment': 'drive',
  'kubernetes.stopDeployment': 'drive',
  'kubernetes.deleteDeployment': 'mutate',
  'kubernetes.switchSelector': 'drive',
  'kubernetes.driveEndpoints': 'drive',
  'argoRollouts.driveRollout': 'drive',
  'argoRollouts.abortRollout': 'drive',
  'argoRollouts.compareRollout': 'observe',
  'owners.planRelease': 'observe',
  'owners.hold': 'mutate',
  'owners.release': 'mutate',
  'owners.lookAtHold': 'observe',
  'owners.remindOfHold': 'tell',
  'kubernetes.planCanaryRollback': 'observe',
  'kubernetes.compareCanary': 'observe',
  'kubernetes.scaleCanary': 'drive',
  'kubernetes.deleteCanary': 'mutate',
  'istio.shiftTraffic': 'mutate',
  'istio.deleteDestinationRule': 'mutate',
  'gatewayApi.shiftTraffic': 'mutate',
  'kubernetes.planStatefulSetRollback': 'observe',
  'kubernetes.compareStatefulSet': 'observe',
  'kubernetes.compareState': 'observe',
  'kubernetes.backUpState': 'drive',
  'kubernetes.restoreStatefulSet': 'mutate',
  'kubernetes.driveStatefulSet': 'drive',
  'kubernetes.restoreState': 'drive',
  'kubernetes.handBackStatefulSet': 'mutate',
  'helm.planReleaseRollback': 'observe',
  'helm.compareReleases': 'observe',
  'helm.rollBackRelease': 'drive',
  'helm.awaitWorkloads': 'drive',
  'postgres.planSchema': 'observe',
  'postgres.migrate': 'drive',
  'postgres.compareSchema': 'observe',
  'postgres.planRestore': 'observe',
  'postgres.restoreCopy': 'drive',
  'postgres.verifyCopy': 'drive',
  'postgres.swapDatabases': 'drive',
  'postgres.compareDatabases': 'observe',
  'postgres.planTransactions': 'observe',
  'postgres.endSession': 'drive',
  'features.planDisabling': 'observe',
  'features.planReduction': 'observe',
  'features.compareFlag': 'observe',
  'features.setFlag': 'mutate',
  'features.awaitFlag': 'drive',
  'features.measureErrorRate': 'drive',
  'features.tellStanding': 'wait',
  'redis.planClearing': 'observe',
  'redis.clearCache': 'drive',
  'verification.runCheck': 'check',
  'lock.takeTargets': 'lock',
  'lock.assertFree': 'lock',
  'lock.releaseTargets': 'lock',
  'lock.awaitTargets': 'wait',
  'authority.assessDecision': 'assess',
  'authority.findRegions': 'assess',
  'authority.joinRegions': 'observe',
  'people.ask': 'tell',
} as const;

/**
 * After so long without a heartbeat, of which there is one a second, an activity's worker counts as
 * gone, and the activity is done again elsewhere: a killed worker's step is taken up within 5 s.
 */
export const heartbeatTimeoutMs = 4000;

/**
 * A run that was closed or reset may have an activity that still acts, until it misses its
 * heartbeat; with room for clocks that differ.
 */
export const lastActivityMayLiveMs = heartbeatTimeoutMs + 2000;

export type ActivityName = keyof typeof activityClasses;
export type ActivityClass = (typeof activityClasses)[ActivityName];

/**
 * Whether an activity of this class acts on the world and must pass the guard. A check does as well:
 * it sends requests and runs a command.
 */
export function isGuarded(activityClass: ActivityClass): boolean {
  return activityClass === 'mutate' || activityClass === 'drive' || activityClass === 'check';
}

/** Class of the named activity, or undefined for a name that is not in the contract. */
export function classOf(name: string): ActivityClass | undefined {
  return Object.hasOwn(activityClasses, name) ? activityClasses[name as ActivityName] : undefined;
}
