import type { Service } from '../../../config/schema.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import { findService } from '../../../config/services.ts';
import { digestPlan } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Change, Plan, Target } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import type { Cluster, Clusters } from '../api.ts';
import { configMapWarnings } from '../config-maps.ts';
import { chooseRevision } from '../choose-revision.ts';
import { passedOver, wasLeft } from '../left-revisions.ts';
import { missing } from '../missing.ts';
import { isObserved, targetOf } from '../objects.ts';
import { readServices, type SelectorChange } from '../service/service.ts';
import { templateDifferences } from '../template-differences.ts';
import { findLeftStopped, type LeftStopped } from './left-stopped.ts';
import { planState } from './plan-state.ts';
import { planStop } from './plan-stop.ts';
import {
  ages,
  estimate,
  goesBack,
  ownerWarnings,
  standsThere,
  statements,
  unfinished,
} from './plan-words.ts';
import { readOwnPods, type Replacement, replacementOf } from './pods.ts';
import {
  readStatefulSetHistory,
  type StatefulSet,
  type StatefulSetHistory,
  type StatefulSetRevision,
  templateOf,
} from './revisions.ts';
import type { TemplateChange } from './stateful-set-change.ts';

/** A controller that has not seen the newest template yet needs a moment; more is said as a refusal. */
const observedWithinMs = 5000;

/**
 * Plans R9: which revision a StatefulSet goes back to, by ControllerRevision and template hash, which
 * Service gets no traffic meanwhile, what is archived and what is restored. Reads only, in pods as
 * well; needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planStatefulSetRollback(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'statefulset'>,
): Promise<Plan> {
  const cluster = clusters.of(input.context);
  const namespace = input.namespace ?? settings.kubernetes.namespace;
  const name = input.statefulSet;
  const history = await readObserved(cluster, namespace, name);
  const { statefulSet, current } = history;
  const wanted = chooseRevision('statefulset', history.statefulSet, history, input.toRevision);
  const [pods, services] = await Promise.all([
    readOwnPods(cluster, statefulSet),
    readServices(cluster, namespace),
  ]);
  const replacement = replacementOf(statefulSet);
  const isThere = wanted.template === history.template;
  const rest = isThere ? unfinished(history, pods, replacement) : undefined;
  const target = targetOf('statefulset', cluster, statefulSet);
  const template = templateOf(wanted.controllerRevision);
  const [serviceName, service] = findService(settings, { kind: 'statefulset', namespace, name });
  const stopped = {
    service: input.service ?? service?.service,
    value: input.maintenance ?? service?.state?.maintenance ?? 'maintenance',
  };
  const left = findLeftStopped(cluster, statefulSet, template, services, stopped);
  if (isThere && !rest && input.restore === undefined) {
    return planResumption(history, target, left, [serviceName, service]);
  }
  if (!isThere) assertReplaces(statefulSet, replacement);

  const { skipBackup, restore } = input;
  const [stop, state, configWarnings] = await Promise.all([
    planStop(cluster, statefulSet, template, pods, services, left, stopped),
    planState(cluster, target, pods, { skipBackup, restore, settings: service?.state }),
    configMapWarnings(cluster, namespace, {
      metadata: wanted.controllerRevision.metadata,
      spec: { selector: {}, template },
    }),
  ]);
  const templates: TemplateChange[] =
    isThere && !rest
      ? []
      : [
          {
            ...{ id: 'template', kind: 'statefulset/template', target },
            before: referenceTo(current, history.template),
            after: {
              ...referenceTo(wanted, wanted.template),
              fromOrdinal: replacement.fromOrdinal,
              onDelete: replacement.by === 'run',
            },
          },
        ];
  const changes: Change[] = [
    ...stop.stops,
    ...state.backups,
    ...templates,
    ...state.restores,
    ...stop.resumes,
  ];
  const measured = templates[0] ?? state.restores[0];
  const checks = plannedChecks(serviceName, service, measured?.id);
  return digestPlan({
    ...{ procedure: 'statefulset', changes, checks },
    targets: [target, ...stop.resumes.map((resume) => resume.target)],
    summary: `${[isThere ? standsThere(history, rest ?? '') : goesBack(history, wanted), ...state.words, ...stop.words].join('; ')}.`,
    differences: templateDifferences(statefulSet.spec?.template ?? {}, template),
    warnings: [
      ...wasLeft(statefulSet, history, wanted),
      ...(input.toRevision === undefined ? passedOver(statefulSet, history, wanted) : []),
      ...ownerWarnings(statefulSet),
      ...stop.warnings,
      ...measuredAside(stop.resumes, service),
      ...state.warnings,
      ...(templates.length > 0 ? statements(history, pods, replacement) : []),
      ...(isThere ? [] : [...ages(history, pods), ...configWarnings]),
    ],
    estimateSeconds: estimate(statefulSet, pods, templates.length > 0 ? replacement : undefined),
  });
}

/** Where the template is right: traffic that an earlier run has left stopped, or nothing. */
function planResumption(
  history: StatefulSetHistory,
  target: Target,
  { resumes, words, warnings }: LeftStopped,
  [name, service]: [string, Service | undefined],
): Plan {
  if (resumes.length === 0) {
    return digestPlan({
      ...{ procedure: 'statefulset', targets: [], changes: [] },
      // Where nothing is changed, the summary is all that people are shown.
      summary: [`${standsThere(history)}.`, ...warnings].join(' '),
      ...{ differences: [], warnings, checks: [], estimateSeconds: 0 },
    });
  }
  return digestPlan({
    ...{ procedure: 'statefulset', changes: resumes },
    targets: [target, ...resumes.map((resume) => resume.target)],
    summary: `${[standsThere(history, ''), ...words].join('; ')}.`,
    differences: [],
    warnings: [...measuredAside(resumes, service), ...warnings],
    // No pods are restored whose logs could be read.
    checks: plannedChecks(name, service).filter(({ check }) => check !== 'logs'),
    estimateSeconds: 2,
  });
}

/** Says what the check of health must not go by. */
function measuredAside(resumes: readonly SelectorChange[], service: Service | undefined): string[] {
  if (resumes.length === 0 || !service?.checks.health) return [];
  const names = resumes.map(({ target }) => target.name).join(', ');
  return [
    `The checks measure while Service ${names} gets no traffic: ${service.checks.health.url} must reach the pods by another way.`,
  ];
}

function referenceTo(entry: StatefulSetRevision | undefined, template: string) {
  return {
    revision: entry?.revision ?? null,
    name: entry?.name ?? null,
    controllerRevision: entry?.controllerRevision.metadata?.uid ?? null,
    template,
  };
}

/** Reads the history once the controller has seen the newest template. */
async function readObserved(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<StatefulSetHistory> {
  const giveUp = Date.now() + observedWithinMs;
  for (;;) {
    const history = await readStatefulSetHistory(cluster, namespace, name);
    if (!history) throw refused(await missing(cluster, 'statefulset', namespace, name));
    const observed = isObserved(history.statefulSet);
    if (observed && history.current) return history;
    if (Date.now() > giveUp) {
      throw refused(
        `The StatefulSet controller has not seen the newest template of ${name} in ${namespace} within ${observedWithinMs / 1000} s, so its revisions cannot be told apart: check the controller manager, then start again.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** @throws Refused where no pod would be replaced: a rollback that replaces nothing is none. */
function assertReplaces(
  { metadata }: StatefulSet,
  { fromOrdinal, start, replicas }: Replacement,
): void {
  if (replicas === 0 || fromOrdinal < start + replicas) return;
  throw refused(
    `The partition of StatefulSet ${metadata?.name} in ${metadata?.namespace} is ${fromOrdinal - start}, and it has ${replicas} pods, so none would be replaced: lower spec.updateStrategy.rollingUpdate.partition first.`,
  );
}
