/** Every workflow that the worker runs, by the name that histories freeze. */
export { rollbackCanary } from './rollback-canary.ts';
export { rollbackDeployment } from './rollback-deployment.ts';
export { releaseOwner } from './release-owner.ts';
export { remindOfHold } from './remind-of-hold.ts';
export { rollbackServices } from './rollback-services.ts';
export { rollbackBlueGreen } from './rollback-blue-green.ts';
export { openCircuitBreaker } from './open-circuit-breaker.ts';
export { redirectTraffic } from './redirect-traffic.ts';
export { rollbackStatefulSet } from './rollback-stateful-set.ts';
export { rollbackSchema } from './rollback-schema.ts';
export { restoreDatabase } from './restore-database.ts';
export { terminateTransactions } from './terminate-transactions.ts';
export { disableFeature } from './disable-feature.ts';
export { reduceFeature } from './reduce-feature.ts';
export { clearCache } from './clear-cache.ts';
export { rollbackHelmRelease } from './rollback-helm-release.ts';
