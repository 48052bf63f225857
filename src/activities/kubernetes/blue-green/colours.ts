/** The colours of a Service: the same labels but for one, whose value tells them apart. */
import type { Deployment } from '../deployment/revisions.ts';
import { carriersOf } from '../service/carriers.ts';
import { type Labels, selectorText, type Service } from '../service/service.ts';

export interface Colour {
  /** Value of the label. */
  value: string;
  /** The Service's selector with it. */
  selector: string;
  /** Deployments whose pods carry it. */
  deployments: Deployment[];
}

/** What a Service selects now, and what it could select instead. */
export interface Colours {
  live: Colour;
  others: Colour[];
}

/**
 * Tells a Service's colours apart by the label, from the Deployments' pod templates: whatever they
 * are called. Undefined where the Service's selector does not have the label.
 */
export function coloursOf(
  { spec }: Service,
  deployments: readonly Deployment[],
  label: string,
): Colours | undefined {
  const selector: Labels = spec?.selector ?? {};
  const liveValue = selector[label];
  if (liveValue === undefined) return undefined;
  const colour = (value: string): Colour => {
    const text = selectorText({ ...selector, [label]: value });
    return { value, selector: text, deployments: carriersOf(deployments, text) };
  };
  const values = deployments.map((one) => one.spec?.template.metadata?.labels?.[label]);
  const others = [...new Set(values)]
    .filter((value) => value !== undefined && value !== liveValue)
    .map((value) => colour(value as string))
    .filter((candidate) => candidate.deployments.length > 0)
    .sort((one, other) => (one.value < other.value ? -1 : 1));
  return { live: colour(liveValue), others };
}
