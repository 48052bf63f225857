/** Istio's DestinationRule: which pods of a Service are which subset. */
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { serviceOf } from './virtual-service.ts';

interface Subset {
  name: string;
  labels?: Record<string, string>;
}

export interface DestinationRule extends KubernetesObject {
  spec?: { host: string; subsets?: Subset[]; trafficPolicy?: object };
}

/** The Service of its namespace that a rule is about; another host as it is. */
export function ruledService({ metadata, spec }: DestinationRule): string {
  return serviceOf(spec?.host ?? '', metadata?.namespace ?? '');
}

/** Names of the subsets that a rule makes, as destinations such as `wakala/canary`. */
export function subsetsOf(rule: DestinationRule): string[] {
  return (rule.spec?.subsets ?? []).map(({ name }) => `${ruledService(rule)}/${name}`);
}

/** Labels of the pods of a subset; undefined where no rule makes it. */
export function subsetLabels(
  rules: readonly DestinationRule[],
  destination: string,
): Record<string, string> | undefined {
  const [service, subset] = destination.split('/');
  const found = rules
    .filter((rule) => ruledService(rule) === service)
    .flatMap(({ spec }) => spec?.subsets ?? [])
    .find(({ name }) => name === subset);
  return found && (found.labels ?? {});
}

/**
 * Whether a rule is about the canary and nothing else, so that nothing is missed without it: about its
 * Service, or with no subset but its own, and with no policy for all pods of the Service.
 */
export function isOfCanaryAlone(rule: DestinationRule, canary: readonly string[]): boolean {
  if (canary.includes(ruledService(rule))) return true;
  const subsets = subsetsOf(rule);
  const ofAll = Object.keys(rule.spec?.trafficPolicy ?? {}).length > 0;
  return !ofAll && subsets.length > 0 && subsets.every((subset) => canary.includes(subset));
}
