import { type State, state as stateSettings } from '../../../config/schema.ts';
import type { Target } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import type { Cluster } from '../api.ts';
import type { Pod } from '../pods.ts';
import { Archives, chooseArchive } from './archives.ts';
import { formatBytes } from './back-up-state.ts';
import type { BackupChange, StateChange, StatePlace } from './stateful-set-change.ts';

/** All that is read in pods for a plan must have been read after so long. */
const readWithinMs = 15_000;
/** An archive up to this size is read to its end in the plan; a larger one when it is restored. */
const readInPlanBytes = 64 * 1024 * 1024;

/** What becomes of the state of the pods. */
export interface PlannedState {
  backups: BackupChange[];
  restores: StateChange[];
  /** Parts of the plan's summary. */
  words: string[];
  warnings: string[];
}

export interface StateRequest {
  skipBackup: boolean;
  /** The archive to restore, as the person named it; undefined for none. */
  restore: string | undefined;
  /** The service's settings. */
  settings: State | undefined;
}

/** An archive that was found in a pod. */
interface FoundArchive {
  archive: string;
  bytes: number;
  sha256: string | null;
  changedAt: string;
}

/**
 * Plans which pods' state is archived, and which is restored from what: looks in the pods that run
 * whether state and archives are there, and reads the archives.
 * @throws Refused where what is to be archived or restored is not there.
 */
export async function planState(
  cluster: Cluster,
  target: Target,
  pods: readonly Pod[],
  { skipBackup, restore, settings = stateSettings.parse({}) }: StateRequest,
): Promise<PlannedState> {
  const unsaved = 'The state is not archived before: there is no way back to it.';
  if (skipBackup && restore === undefined) {
    return { backups: [], restores: [], words: [], warnings: [unsaved] };
  }
  const [running, others] = [pods.filter(runs), pods.filter((pod) => !runs(pod))];
  if (running.length === 0) throw refused(nonRuns(target, restore));
  const signal = AbortSignal.timeout(readWithinMs);
  const found = await Promise.all(
    running.map(async (pod) => {
      const place = placeOf(pod, settings);
      const where = { namespace: target.namespace, ...place };
      const archives = new Archives(cluster, where, place.folder, signal);
      if (!skipBackup) await assertState(archives, place, settings.data);
      const archive =
        restore === undefined ? undefined : await findArchive(archives, place, restore);
      return { pod, place, archive };
    }),
  );

  const restored = found.filter(({ archive }) => archive !== undefined);
  if (restore !== undefined && restored.length === 0) {
    throw refused(
      `There is no archive ${restore} in ${settings.backup} of ${nameAll(running)}: name one that kubectl exec ${nameAll(running.slice(0, 1))} -n ${target.namespace} -- ls ${settings.backup} shows, or leave --restore out.`,
    );
  }
  const backups = skipBackup ? [] : found.map(({ place }) => backupOf(target, place, settings));
  const restores = restored.map(({ place, archive }) =>
    restoreOf(target, place, archive as FoundArchive, !skipBackup),
  );
  const unrestored = found.filter(({ archive }) => archive === undefined);
  return {
    ...{ backups, restores },
    words: [
      ...(skipBackup ? [] : [`the state of ${nameAll(running)} is archived before`]),
      ...restores.map(({ after }) => `that of ${after.pod} is restored from ${after.archive}`),
    ],
    warnings: [
      ...(skipBackup ? [unsaved] : lastings(running, settings)),
      ...(others.length > 0
        ? [`The state of ${nameAll(others)} is left alone: no container runs there.`]
        : []),
      ...restored.map(({ place, archive }) => remarkOf(place, archive as FoundArchive)),
      ...(restore !== undefined && unrestored.length > 0
        ? [
            `${nameAll(unrestored.map(({ pod }) => pod))} have no archive ${restore} and keep their state.`,
          ]
        : []),
      ...(restore === undefined
        ? []
        : [
            'Files that came after an archive was made stay; no process is told that its files are others.',
          ]),
    ],
  };
}

function containerOf({ spec }: Pod, settings: State): string {
  return settings.container ?? spec?.containers[0]?.name ?? '';
}

function runs({ metadata, status }: Pod): boolean {
  const states = status?.containerStatuses ?? [];
  return metadata?.deletionTimestamp === undefined && states.some(({ state }) => state?.running);
}

function placeOf(pod: Pod, settings: State): StatePlace {
  const { name = '' } = pod.metadata ?? {};
  return { pod: name, container: containerOf(pod, settings), folder: settings.backup };
}

function backupOf(target: Target, place: StatePlace, { data }: State): BackupChange {
  return {
    ...{ id: `backup/${place.pod}`, kind: 'statefulset/backup', target, before: {} },
    after: { ...place, data: data.join(':') },
  };
}

function restoreOf(
  target: Target,
  place: StatePlace,
  { archive, bytes, sha256 }: FoundArchive,
  backedUp: boolean,
): StateChange {
  return {
    ...{ id: `state/${place.pod}`, kind: 'statefulset/state', target, before: { backedUp } },
    after: { ...place, archive, bytes, sha256 },
  };
}

/** @throws Refused where there is nothing to archive, so that the traffic is not stopped in vain. */
async function assertState(
  archives: Archives,
  { pod, container }: StatePlace,
  data: readonly string[],
): Promise<void> {
  const entries = await Promise.all(data.map((path) => archives.entriesOf(path)));
  const missing = data.find((_, index) => entries[index] === undefined);
  const where = `pod ${pod}, container ${container}`;
  const instead =
    'name where its state is as state.data in the settings of its service, or go back without a backup with --skip-backup.';
  if (missing !== undefined) throw refused(`There is no ${missing} in ${where}: ${instead}`);
  if (entries.every((names) => names?.length === 0)) {
    throw refused(`There is nothing in ${data.join(', ')} of ${where}: ${instead}`);
  }
}

/**
 * Finds the archive that the person means in a pod; undefined where there is none.
 * @throws PodCommandFailed for one that is not whole.
 */
async function findArchive(
  archives: Archives,
  { pod }: StatePlace,
  wanted: string,
): Promise<FoundArchive | undefined> {
  const archive = chooseArchive(wanted, pod, await archives.list());
  const found = archive === undefined ? undefined : await archives.find(archive);
  if (archive === undefined || !found) return undefined;
  const { bytes, changedAt } = found;
  if (bytes > readInPlanBytes) return { archive, bytes, changedAt, sha256: null };
  const [files, sha256] = await Promise.all([archives.count(archive), archives.sha256(archive)]);
  if (files > 0) return { archive, bytes, changedAt, sha256 };
  throw refused(`The archive ${archives.pathOf(archive)} in pod ${pod} has no file in it.`);
}

function remarkOf(
  { pod }: StatePlace,
  { archive, bytes, sha256, changedAt }: FoundArchive,
): string {
  const checked =
    sha256 === null ? 'read to its end just before it is restored' : `SHA-256 ${sha256}`;
  return `What ${pod} has written since ${changedAt} is overwritten by ${archive} (${formatBytes(bytes)}, ${checked}).`;
}

/** Volumes that a pod of the same name finds again. */
const lasting = [
  'persistentVolumeClaim',
  'hostPath',
  'nfs',
  'csi',
  'iscsi',
  'fc',
  'cephfs',
] as const;

/** Says where archives do not outlive their pod, which the rollback replaces. */
function lastings(pods: readonly Pod[], settings: State): string[] {
  const lost = pods.filter((pod) => {
    const container = pod.spec?.containers.find(({ name }) => name === containerOf(pod, settings));
    const mounts = (container?.volumeMounts ?? [])
      .filter(({ mountPath }) =>
        `${settings.backup}/`.startsWith(`${mountPath.replace(/\/$/, '')}/`),
      )
      .sort((one, other) => other.mountPath.length - one.mountPath.length);
    const volume = pod.spec?.volumes?.find(({ name }) => name === mounts[0]?.name);
    return !volume || !lasting.some((kind) => volume[kind] !== undefined);
  });
  if (lost.length === 0) return [];
  return [
    `${settings.backup} is on no volume that outlives ${nameAll(lost)}, so the archive is lost when the pod is replaced: name a folder that is, as state.backup in the settings.`,
  ];
}

function nonRuns({ name, namespace }: Target, restore: string | undefined): string {
  const instead =
    restore === undefined
      ? 'add --skip-backup to go back without an archive'
      : 'leave --restore out and add --skip-backup to go back first';
  return `No pod of StatefulSet ${name} in ${namespace} runs, so its state cannot be looked at: ${instead}.`;
}

function nameAll(pods: readonly Pod[]): string {
  return pods.map(({ metadata }) => metadata?.name).join(', ');
}
