/** Every workflow that the worker runs, by the name that histories freeze. */
export { rollbackDeployment } from './rollback-deployment.ts';
export { releaseOwner } from './release-owner.ts';
export { remindOfHold } from './remind-of-hold.ts';
export { rollbackServices } from './rollback-services.ts';
export { rollbackBlueGreen } from './rollback-blue-green.ts';
