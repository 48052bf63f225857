/**
 * Every workflow that the worker runs, by the name that histories freeze. R3, R6 and so on in comments are the
 * procedures of the runbook that this replaces, in its order: R3 Deployment, R4 Helm, R5 quick validation, R6
 * blue-green, R7 canary, R8 several services, R9 StatefulSet, R11 schema, R12 data, R13 long transactions, R14
 * feature off, R15 feature share by share, R16 circuit breaker, R17 maintenance page, R18 the full system.
 */
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
