import { refused } from '../../failures.ts';
import type { Cluster } from '../api.ts';
import { targetOf } from '../objects.ts';
import type { Pod } from '../pods.ts';
import { readyPods } from '../service/endpoints.ts';
import {
  labelsOf,
  readService,
  type SelectorChange,
  selectorText,
  type Service,
} from '../service/service.ts';
import { trafficTo } from '../service/traffic.ts';
import type { PodTemplate } from '../templates.ts';
import type { StatefulSet } from './revisions.ts';

/** The label that the runbook stops traffic by. */
const label = 'version';

/** How the traffic of a Service is stopped and resumed. */
export interface Stop {
  changes: { stop: SelectorChange; resume: SelectorChange } | undefined;
  /** Part of the plan's summary; empty where no traffic is stopped. */
  words: string;
  warnings: string[];
}

/**
 * Plans to send a Service's traffic to the pods with `version=VALUE`, and then to exactly those where
 * it goes now. Where no such pod is ready, which is what the runbook means, nobody is served meanwhile.
 * @param wanted the template that is gone back to
 * @throws Refused where that would stop somebody else's traffic, or never resume it.
 */
export async function planStop(
  cluster: Cluster,
  { metadata }: StatefulSet,
  wanted: PodTemplate,
  pods: readonly Pod[],
  { service: name, value }: { service: string | undefined; value: string },
): Promise<Stop> {
  const namespace = metadata?.namespace ?? '';
  if (name === undefined) {
    return {
      changes: undefined,
      words: '',
      warnings: [await notStopped(cluster, namespace, pods)],
    };
  }
  const service = await readService(cluster, namespace, name);
  if (!service) {
    throw refused(
      `There is no Service ${name} in namespace ${namespace}: name another with --service, or none to leave traffic alone.`,
    );
  }
  const before = selectorText(service.spec?.selector);
  const after = selectorText({ ...service.spec?.selector, [label]: value });
  if (after === before) {
    const warning = `Service ${name} already selects ${before}, and what it selected before nobody knows: its traffic is neither stopped nor resumed by this run.`;
    return { changes: undefined, words: '', warnings: [warning] };
  }
  assertIsOurs(service, before, wanted);
  const served = await readyPods(cluster, namespace, after);
  const target = targetOf('service', cluster, service);
  const [open, closed] = [{ selector: before }, { selector: after }];
  return {
    changes: {
      stop: { id: 'stop', kind: 'service/stop', target, before: open, after: closed },
      resume: { id: 'resume', kind: 'service/resume', target, before: closed, after: open },
    },
    words: `; Service ${name} gets no traffic to them until the checks are green`,
    warnings: [
      served.length > 0
        ? `Meanwhile ${served.length} ready pods with ${after} get the traffic of Service ${name}.`
        : `Meanwhile nobody answers for Service ${name}: no pod with ${after} is ready. Connections that are open stay until their pod is replaced.`,
    ],
  };
}

/** @throws Refused where the Service would send its traffic to none of the pods that are gone back to. */
function assertIsOurs({ metadata }: Service, selector: string, template: PodTemplate): void {
  const labels = template.metadata?.labels ?? {};
  const pairs = Object.entries(labelsOf(selector));
  if (pairs.length > 0 && pairs.every(([key, value]) => labels[key] === value)) return;
  throw refused(
    `Service ${metadata?.name} selects ${selector || 'nothing'}, which the pods that are gone back to do not carry, so it would never get its traffic back: name the Service that sends traffic to this StatefulSet with --service.`,
  );
}

/** Says whose traffic goes on, where no Service is named. */
async function notStopped(
  cluster: Cluster,
  namespace: string,
  pods: readonly Pod[],
): Promise<string> {
  const services = (await trafficTo(cluster, namespace, pods)).map(({ service }) => service);
  return services.length > 0
    ? `Traffic goes on meanwhile (${services.join(', ')}): name the Service to stop with --service, or as service in the settings.`
    : 'No Service is named whose traffic would be stopped meanwhile, and none sends any.';
}
