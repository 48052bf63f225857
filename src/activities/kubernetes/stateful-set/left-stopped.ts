import type { RunIdentity } from '../../../contract/plan.ts';
import { shellWord } from '../../../contract/printable.ts';
import type { Cluster } from '../api.ts';
import { rolledBackBy } from '../deployment/annotations.ts';
import { targetOf } from '../objects.ts';
import {
  type Labels,
  labelsOf,
  type SelectorChange,
  selectorText,
  type Service,
  trafficLabel,
} from '../service/service.ts';
import { markedStop, standingStop } from '../service/stopped.ts';
import type { PodTemplate } from '../templates.ts';
import type { StatefulSet } from './revisions.ts';

/** Services without traffic before this run has begun. */
export interface LeftStopped {
  /** Give it back to those of which it is known where it went. */
  resumes: SelectorChange[];
  /** Parts of the plan's summary. */
  words: string[];
  /** About those of which it is not. */
  warnings: string[];
  /** Names of all of them. */
  names: string[];
}

/**
 * Finds the Services of a StatefulSet whose traffic an earlier run stopped and never resumed, since it was
 * ended from outside. One that is open holds its Service, so that nobody resumes it before.
 * @param wanted the template that is gone back to
 * @param named the Service that is meant, and the value of its label where its traffic is stopped
 */
export function findLeftStopped(
  cluster: Cluster,
  { metadata }: StatefulSet,
  wanted: PodTemplate,
  services: readonly Service[],
  named: { service: string | undefined; value: string },
): LeftStopped {
  const found: LeftStopped = { resumes: [], words: [], warnings: [], names: [] };
  for (const service of services) {
    const { name = '' } = service.metadata ?? {};
    const isNamed = name === named.service;
    const stopped = standingStop(service);
    if (stopped && (isNamed || stopped.statefulSet === metadata?.name)) {
      found.names.push(name);
      if (!carries(wanted, labelsOf(stopped.from))) {
        const why = `the pods that are gone back to do not carry what it selected before (${stopped.from})`;
        found.warnings.push(staysStopped(cluster, service, wanted, why));
        continue;
      }
      found.resumes.push({
        ...{ id: `resume/${name}`, kind: 'service/resume' },
        target: targetOf('service', cluster, service),
        ...{ before: { selector: stopped.to }, after: { selector: stopped.from } },
      });
      found.words.push(
        `Service ${name}, whose traffic ${rolledBackBy({ run: stopped.run.workflowId })} stopped, gets it back once the checks are green`,
      );
    } else if (!stopped && service.spec?.selector?.[trafficLabel] === named.value) {
      const { [trafficLabel]: _value, ...others } = service.spec.selector;
      const run = markedStop(service);
      if (!isNamed && !(run && carries(wanted, others))) continue;
      found.names.push(name);
      const why = 'what it selected before nobody knows';
      found.warnings.push(staysStopped(cluster, service, wanted, why, run));
    }
  }
  return found;
}

/** Whether the pods that are gone back to have these labels, and there are any. */
export function carries({ metadata }: PodTemplate, labels: Labels): boolean {
  const pairs = Object.entries(labels);
  return pairs.length > 0 && pairs.every(([key, value]) => metadata?.labels?.[key] === value);
}

function staysStopped(
  cluster: Cluster,
  { metadata, spec }: Service,
  wanted: PodTemplate,
  why: string,
  run?: RunIdentity,
): string {
  const { name = '', namespace = '' } = metadata ?? {};
  const now = spec?.selector ?? {};
  const labels = Object.keys(now).flatMap((key) => {
    const value = wanted.metadata?.labels?.[key];
    return value === undefined ? [] : [[key, value] as const];
  });
  const likely = selectorText(Object.fromEntries(labels));
  const resume = run
    ? `rollback resume ${shellWord(run.workflowId)} where that run was ended before it did so, or else `
    : '';
  return `Service ${name} already selects ${selectorText(now)}, and ${why}: its traffic is neither stopped nor resumed by this run. Resume it with ${resume}kubectl --context ${shellWord(cluster.context)} -n ${shellWord(namespace)} set selector service/${shellWord(name)} ${shellWord(likely)}`;
}
