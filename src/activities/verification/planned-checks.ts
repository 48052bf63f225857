import type { Service } from '../../config/schema.ts';
import type { PlannedCheck } from '../../contract/plan.ts';

/**
 * The checks that the settings have for a service.
 * @param change id of the change whose effect they measure, where it is not the plan's first
 */
export function plannedChecks(
  name: string,
  service: Service | undefined,
  change?: string,
): PlannedCheck[] {
  const names = ['health', 'logs', 'smoke'] as const;
  return names
    .filter((check) => service?.checks[check])
    .map((check) => ({ service: name, check, ...(change === undefined ? {} : { change }) }));
}
