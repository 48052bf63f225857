/**
 * Every procedure in the situations in which it is disturbed. Together they run every activity of
 * the contract, which `npm run chaos` demands of them.
 */
import type { Scenario } from './scenario.ts';
import { blueGreenScenarios } from './scenarios/blue-green.ts';
import { canaryScenarios } from './scenarios/canary.ts';
import { helmScenarios } from './scenarios/helm.ts';
import { circuitBreakerScenarios } from './scenarios/circuit-breaker.ts';
import { databasesScenarios } from './scenarios/databases.ts';
import { deploymentScenarios } from './scenarios/deployment.ts';
import { featuresScenarios } from './scenarios/features.ts';
import { ownersScenarios } from './scenarios/owners.ts';
import { redirectScenarios } from './scenarios/redirect.ts';
import { schemaScenarios } from './scenarios/schema.ts';
import { servicesScenarios } from './scenarios/services.ts';
import { statefulSetScenarios } from './scenarios/stateful-set.ts';

export const scenarios: readonly Scenario[] = [
  ...deploymentScenarios,
  ...servicesScenarios,
  ...blueGreenScenarios,
  ...canaryScenarios,
  ...helmScenarios,
  ...circuitBreakerScenarios,
  ...redirectScenarios,
  ...databasesScenarios,
  ...schemaScenarios,
  ...featuresScenarios,
  ...ownersScenarios,
  ...statefulSetScenarios,
];
