import { KubernetesError, type Cluster, type ListOf } from './api.ts';

export interface Named {
  metadata?: { name?: string };
}

/**
 * Keeps `items` equal to a list of the API server, by list and watch, until `signal` aborts.
 * `changed` is called after every difference. Ends with an error only where the API server cannot
 * be reached or forbids it; a watch that the server closes or that is too old starts over.
 */
export async function follow<T extends Named>(
  cluster: Cluster,
  path: string,
  query: Record<string, string>,
  items: Map<string, T>,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const nameOf = (item: T) => item.metadata?.name ?? '';
  while (!signal.aborted) {
    const list = await cluster.get<ListOf<T>>(path, query);
    items.clear();
    for (const item of list.items) items.set(nameOf(item), item);
    changed();
    try {
      const events = cluster.watch<T>(path, query, list.metadata.resourceVersion, signal);
      for await (const { type, object } of events) {
        if (type === 'BOOKMARK') continue;
        if (type === 'DELETED') items.delete(nameOf(object));
        else items.set(nameOf(object), object);
        changed();
      }
    } catch (error) {
      if (signal.aborted) return;
      const expired = error instanceof KubernetesError && error.status === 410;
      const cut = error instanceof TypeError || (error as Error).name === 'SocketError';
      if (!expired && !cut) throw error;
    }
  }
}
