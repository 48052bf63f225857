import { KubernetesError, type Cluster, type ListOf } from './api.ts';

export interface Named {
  metadata?: { name?: string; resourceVersion?: string };
}

/** A list of the API server, or one object of it. */
export interface Followed {
  path: string;
  query?: Record<string, string>;
  name?: string;
}

/**
 * Keeps `items` equal to what is followed, by a first look and a watch, until `signal` aborts.
 * `changed` is called after every difference. Ends with an error only where the API server cannot
 * be reached or forbids it; a watch that the server closes or that is too old starts over.
 *
 * A list may begin as the API server's cache has it, since the watch tells what has come since; one
 * object is as new as can be. A list that is as new as can be waits up to 100 ms for the cache where
 * anything else was just written (Kubernetes 1.31, consistent reads from cache).
 */
export async function follow<T extends Named>(
  cluster: Cluster,
  followed: Followed,
  items: Map<string, T>,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { path, name } = followed;
  const query =
    name === undefined ? (followed.query ?? {}) : { fieldSelector: `metadata.name=${name}` };
  const nameOf = (item: T) => item.metadata?.name ?? '';
  let isTooOld = false;
  while (!signal.aborted) {
    const early = isTooOld ? undefined : await earlyLook<T>(cluster, followed);
    const { items: found, metadata } = early ?? (await cluster.get<ListOf<T>>(path, query));
    isTooOld = false;
    items.clear();
    for (const item of found) items.set(nameOf(item), item);
    changed();
    try {
      const events = cluster.watch<T>(path, query, metadata.resourceVersion, signal);
      for await (const { type, object } of events) {
        if (type === 'BOOKMARK') continue;
        if (type === 'DELETED') items.delete(nameOf(object));
        else items.set(nameOf(object), object);
        changed();
      }
    } catch (error) {
      if (signal.aborted) return;
      isTooOld = error instanceof KubernetesError && error.status === 410;
      const cut = error instanceof TypeError || (error as Error).name === 'SocketError';
      if (!isTooOld && !cut) throw error;
    }
  }
}

/** What is there, without a wait; undefined for an object that is not. */
async function earlyLook<T extends Named>(
  cluster: Cluster,
  { path, query, name }: Followed,
): Promise<ListOf<T> | undefined> {
  if (name === undefined) return cluster.get(path, { ...query, resourceVersion: 0 });
  const object = await cluster.find<T>(`${path}/${name}`);
  const { resourceVersion } = object?.metadata ?? {};
  return object && resourceVersion !== undefined
    ? { items: [object], metadata: { resourceVersion } }
    : undefined;
}
