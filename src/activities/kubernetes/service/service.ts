/** A Kubernetes Service and the selector that decides which pods get its traffic. */
import type { V1Service } from '@kubernetes/client-node';
import type { Change, Mandate } from '../../../contract/plan.ts';
import type { Cluster, ListOf, Wire } from '../api.ts';
import { objectPath } from '../objects.ts';

export type Service = Wire<V1Service>;
export type Labels = Readonly<Record<string, string>>;

/** The label that the runbook stops traffic by. */
export const trafficLabel = 'version';

/** A selector by reference: `app=web,version=blue`, with its keys in order; empty for none. */
export type SelectorReference = { selector: string };

/**
 * A Service gets another selector. `service/selector`: other pods take over. `service/stop`: nobody
 * gets traffic any more, on purpose. `service/resume`: pods get it again.
 */
export interface SelectorChange extends Change<SelectorReference, SelectorReference> {
  kind: 'service/selector' | 'service/stop' | 'service/resume';
}
export type SelectorMandate = Mandate<SelectorChange>;

/** Reads a Service; undefined where there is no such one. */
export function readService(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<Service | undefined> {
  return cluster.find<Service>(objectPath('service', namespace, name));
}

/** Reads all Services of a namespace. */
export async function readServices(cluster: Cluster, namespace: string): Promise<Service[]> {
  const { items } = await cluster.get<ListOf<Service>>(objectPath('service', namespace));
  return items;
}

/** Labels as plans have them, which is also the form of a query. */
export function selectorText(labels: Labels | undefined): string {
  return Object.entries(labels ?? {})
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** The labels of a selector in a plan; neither keys nor values have `=` or `,` in them. */
export function labelsOf(selector: string): Labels {
  const pairs = selector.split(',').filter(Boolean);
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key = '', value = ''] = pair.split('=');
      return [key, value];
    }),
  );
}

/** The selector where a mandate comes from, and the one where it goes to. */
export function selectorEnds({ change, undo }: Pick<SelectorMandate, 'change' | 'undo'>): {
  from: string;
  to: string;
} {
  const { before, after } = change;
  return undo
    ? { from: after.selector, to: before.selector }
    : { from: before.selector, to: after.selector };
}

/** Whether the mandate's selector is one that no pod is meant to carry. */
export function stopsTraffic({ change, undo }: SelectorMandate): boolean {
  return change.kind === (undo ? 'service/resume' : 'service/stop');
}
