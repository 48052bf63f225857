/** Every workflow that the worker runs, by the name that histories freeze. */
export { rollbackDeployment } from './rollback-deployment.ts';
export { rollbackServices } from './rollback-services.ts';
export { rollbackBlueGreen } from './rollback-blue-green.ts';
export { rollbackStatefulSet } from './rollback-stateful-set.ts';
export { openCircuitBreaker } from './open-circuit-breaker.ts';
export { redirectTraffic } from './redirect-traffic.ts';
