/** What a plan for a StatefulSet tells people, in sentences. */
import { nothingToDo, rolledBackBy, standingRollbackOf } from '../deployment/annotations.ts';
import { versionStaysRecorded } from '../last-applied.ts';
import { type Pod, readySince, secondsSince } from '../pods.ts';
import { imagesOf } from '../templates.ts';
import { isReady, ordinalOf, type Replacement } from './pods.ts';
import {
  type StatefulSet,
  type StatefulSetHistory,
  type StatefulSetRevision,
  templateOf,
} from './revisions.ts';
import { rolloutOf } from './rollout-state.ts';

/** From which revision to which it goes, with the images. */
export function goesBack(
  { statefulSet, current }: StatefulSetHistory,
  wanted: StatefulSetRevision,
): string {
  const { metadata, spec } = statefulSet;
  const from = current ? `revision ${current.revision}` : 'its unreleased template';
  const images = [spec?.template, templateOf(wanted.controllerRevision)]
    .map((template) => imagesOf(template).join(', '))
    .join(' -> ');
  return `StatefulSet ${metadata?.name} in ${metadata?.namespace} goes from ${from} back to revision ${wanted.revision}: ${images}, ${spec?.replicas ?? 1} replicas`;
}

/** What an earlier run left to do though the template is right; undefined where it left nothing. */
export function unfinished(
  history: StatefulSetHistory,
  pods: readonly Pod[],
  replacement: Replacement,
): string | undefined {
  const { statefulSet, current } = history;
  const earlier = standingRollbackOf(statefulSet, history);
  if (!earlier || !current) return undefined;
  return rolloutOf(statefulSet, pods, replacement, current.name).complete
    ? undefined
    : `the rollout that ${rolledBackBy(earlier)} began is seen through`;
}

/** @param rest what is done all the same; empty for what another part of the summary says */
export function standsThere(history: StatefulSetHistory, rest?: string): string {
  const { statefulSet, current } = history;
  const { name, namespace } = statefulSet.metadata ?? {};
  const done = nothingToDo(standingRollbackOf(statefulSet, history));
  const images = imagesOf(statefulSet.spec?.template).join(', ');
  const more = rest === undefined ? done : rest && `; ${rest}`;
  return `StatefulSet ${name} in ${namespace} is already at revision ${current?.revision} (${images})${more}`;
}

/** Who may put its own version back. */
export function ownerWarnings({ metadata }: StatefulSet): string[] {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller);
  if (!owner) return [];
  return [
    `${owner.kind} ${owner.name} owns this StatefulSet and may put its own version back: change it there as well.`,
  ];
}

/** How its pods are replaced, and what the rollback does not do. */
export function statements(
  { statefulSet, revisions }: StatefulSetHistory,
  pods: readonly Pod[],
  { by, fromOrdinal, start, replicas }: Replacement,
): string[] {
  const lines: string[] = [];
  const { podManagementPolicy, revisionHistoryLimit = 10 } = statefulSet.spec ?? {};
  const stuck = pods.filter((pod) => ordinalOf(pod) >= fromOrdinal && !isReady(pod));
  if (fromOrdinal > start) {
    lines.push(
      `Its partition is ${fromOrdinal - start}: pods below ordinal ${fromOrdinal} keep the version that they have, ${start + replicas - fromOrdinal} of ${replicas} go back.`,
    );
  }
  if (by === 'run') {
    lines.push(
      'Its update strategy is OnDelete, so its controller replaces no pod: the run deletes them, from the highest ordinal, each when all others are ready.',
    );
  } else if (stuck.length > 0) {
    lines.push(
      `The controller would wait for ${stuck.map(({ metadata }) => metadata?.name).join(', ')}, not ready now, however long that takes: the run deletes what does not get ready, from the highest ordinal.`,
    );
  }
  if (podManagementPolicy === 'Parallel' && by === 'controller') {
    lines.push('Its pods are managed in parallel, and replaced one after the other all the same.');
  }
  if (revisionHistoryLimit < 2 && revisions.length > revisionHistoryLimit) {
    lines.push(
      `revisionHistoryLimit is ${revisionHistoryLimit}: the version that is left may be gone from the history afterwards.`,
    );
  }
  lines.push(...versionStaysRecorded(statefulSet));
  lines.push(
    'What is on its volumes is not rolled back with the version; ConfigMaps, Secrets and the number of replicas stay as they are.',
  );
  return lines;
}

/** How old what runs now is: a rollback of something that has run well for days is likely a mistake. */
export function ages({ statefulSet, current }: StatefulSetHistory, pods: readonly Pod[]): string[] {
  const age = secondsSince(current?.controllerRevision.metadata?.creationTimestamp);
  const wanted = statefulSet.spec?.replicas ?? 1;
  if (age === undefined || age < 24 * 3600 || pods.filter(isReady).length < wanted) return [];
  return [
    `What runs now was made ${Math.floor(age / 86_400)} days ago and all ${wanted} replicas are ready: make sure that it is the version to leave.`,
  ];
}

/** Expected seconds: the median start of today's pods for each that is replaced, one after the other. */
export function estimate(
  { spec }: StatefulSet,
  pods: readonly Pod[],
  replacement: Replacement | undefined,
): number {
  const starts = pods
    .flatMap((pod) => {
      const [ready, created] = [readySince(pod), pod.metadata?.creationTimestamp];
      return ready && created ? [(Date.parse(ready) - Date.parse(created)) / 1000] : [];
    })
    .sort((one, other) => one - other);
  const start = (starts[Math.floor(starts.length / 2)] ?? 10) + (spec?.minReadySeconds ?? 0);
  const { start: first = 0, replicas = 0, fromOrdinal = 0 } = replacement ?? {};
  return Math.max(1, Math.round(start * Math.max(0, first + replicas - fromOrdinal) + 2));
}
