import { refused } from '../../failures.ts';
import type { Cluster } from '../api.ts';
import { targetOf } from '../objects.ts';
import type { Pod } from '../pods.ts';
import { readyPods } from '../service/endpoints.ts';
import {
  labelsOf,
  type SelectorChange,
  selectorText,
  type Service,
  trafficLabel,
} from '../service/service.ts';
import { trafficTo } from '../service/traffic.ts';
import type { PodTemplate } from '../templates.ts';
import { carries, type LeftStopped } from './left-stopped.ts';
import type { StatefulSet } from './revisions.ts';

/** How the traffic of Services is stopped and resumed. */
export interface Stop {
  stops: SelectorChange[];
  /** One for each that gets no traffic meanwhile. */
  resumes: SelectorChange[];
  /** Parts of the plan's summary. */
  words: string[];
  warnings: string[];
}

/**
 * Plans to send a Service's traffic to the pods with `version=VALUE`, and then to exactly those where
 * it goes now. Where no such pod is ready, which is what the runbook means, nobody is served meanwhile.
 * Services that an earlier run has left stopped are resumed with it.
 * @param wanted the template that is gone back to
 * @throws Refused where that would stop somebody else's traffic, or never resume it.
 */
export async function planStop(
  cluster: Cluster,
  { metadata }: StatefulSet,
  wanted: PodTemplate,
  pods: readonly Pod[],
  services: readonly Service[],
  left: LeftStopped,
  { service: name, value }: { service: string | undefined; value: string },
): Promise<Stop> {
  const namespace = metadata?.namespace ?? '';
  const { resumes, words, warnings } = left;
  if (name === undefined) {
    const goesOn = await notStopped(cluster, namespace, pods, left);
    return { stops: [], resumes, words, warnings: [...goesOn, ...warnings] };
  }
  if (left.names.includes(name)) return { stops: [], resumes, words, warnings };
  const service = services.find((each) => each.metadata?.name === name);
  if (!service) {
    throw refused(
      `There is no Service ${name} in namespace ${namespace}: name another with --service, or none to leave traffic alone.`,
    );
  }
  const before = selectorText(service.spec?.selector);
  const after = selectorText({ ...service.spec?.selector, [trafficLabel]: value });
  assertIsOurs(service, before, wanted);
  const served = await readyPods(cluster, namespace, after);
  const target = targetOf('service', cluster, service);
  const [open, closed] = [{ selector: before }, { selector: after }];
  return {
    stops: [{ id: 'stop', kind: 'service/stop', target, before: open, after: closed }],
    resumes: [
      { id: 'resume', kind: 'service/resume', target, before: closed, after: open },
      ...resumes,
    ],
    words: [`Service ${name} gets no traffic to them until the checks are green`, ...words],
    warnings: [
      served.length > 0
        ? `Meanwhile ${served.length} ready pods with ${after} get the traffic of Service ${name}.`
        : `Meanwhile nobody answers for Service ${name}: no pod with ${after} is ready. Connections that are open stay until their pod is replaced.`,
      ...warnings,
    ],
  };
}

/** @throws Refused where the Service would send its traffic to none of the pods that are gone back to. */
function assertIsOurs({ metadata }: Service, selector: string, template: PodTemplate): void {
  if (carries(template, labelsOf(selector))) return;
  throw refused(
    `Service ${metadata?.name} selects ${selector || 'nothing'}, which the pods that are gone back to do not carry, so it would never get its traffic back: name the Service that sends traffic to this StatefulSet with --service.`,
  );
}

/** Says whose traffic goes on, where no Service is named. */
async function notStopped(
  cluster: Cluster,
  namespace: string,
  pods: readonly Pod[],
  { names }: LeftStopped,
): Promise<string[]> {
  const services = (await trafficTo(cluster, namespace, pods)).map(({ service }) => service);
  if (services.length > 0) {
    return [
      `Traffic goes on meanwhile (${services.join(', ')}): name the Service to stop with --service, or as service in the settings.`,
    ];
  }
  return names.length > 0
    ? []
    : ['No Service is named whose traffic would be stopped meanwhile, and none sends any.'];
}
