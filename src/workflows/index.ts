/** Every workflow that the worker runs, by the name that histories freeze. */
export { rollbackDeployment } from './rollback-deployment.ts';
export { rollbackHelmRelease } from './rollback-helm-release.ts';
