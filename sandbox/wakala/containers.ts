/**
 * The files of containers. kwok runs what `kubectl exec` asks for on this machine; here a container
 * gets folders of its own, so that `tar -czf /backup/state.tar.gz /data` in a pod reads and writes what
 * is the pod's and never this machine's own /data.
 */
import type { V1Container, V1Pod } from '@kubernetes/client-node';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What a container shares with this machine: its programs, devices and temporary files. */
const shared = /^\/(bin|dev|etc|lib\d*|opt|proc|run|sbin|sys|tmp|usr|var)?(\/|$)/;

/**
 * The command that does in the container's own folders what `command` asks for. Arguments that are
 * paths are put there; a path within a shell line is not.
 * @param root folder of all containers
 */
export function commandInFolders(
  root: string,
  pod: V1Pod,
  container: string,
  command: readonly string[],
): string[] {
  const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
  const ofPod = join(root, namespace, name);
  // As in a cluster, what is on no volume, or on one that is only the pod's, is gone with the pod.
  const files = join(ofPod, uid);
  mkdirSync(files, { recursive: true });
  const mounts = volumesOf(pod, container).map(({ mountPath, volume, lasts }) => {
    const folder = join(lasts ? ofPod : files, 'volumes', volume);
    mkdirSync(folder, { recursive: true });
    return { mountPath, folder };
  });
  const placed = (argument: string): string => {
    const mount = mounts.find(({ mountPath }) => `${argument}/`.startsWith(`${mountPath}/`));
    if (mount) return join(mount.folder, argument.slice(mount.mountPath.length));
    return argument.startsWith('/') && !shared.test(argument) ? join(files, argument) : argument;
  };
  return ['env', '-C', files, ...command.map(placed)];
}

function volumesOf({ spec }: V1Pod, container: string) {
  const found: V1Container | undefined = spec?.containers.find(({ name }) => name === container);
  const mounts = found?.volumeMounts ?? [];
  return mounts
    .map(({ mountPath, name }) => {
      const volume = spec?.volumes?.find((each) => each.name === name);
      const lasts = volume?.persistentVolumeClaim ?? volume?.hostPath;
      return { mountPath: mountPath.replace(/\/$/, ''), volume: name, lasts: lasts !== undefined };
    })
    .sort((one, other) => other.mountPath.length - one.mountPath.length);
}
