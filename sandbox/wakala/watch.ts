import { setTimeout as sleep } from 'node:timers/promises';
import { Watch, type KubeConfig, type KubernetesObject } from '@kubernetes/client-node';

/** One page of objects, as the API server lists them. */
interface ObjectList<T> {
  readonly items: T[];
  readonly metadata?: { readonly resourceVersion?: string };
}

/** What a watch tells of a kind of objects. */
export interface Watcher<T> {
  /** All objects there are; told at first, and again after every interruption. */
  replace(objects: readonly T[]): void;
  put(object: T): void;
  remove(object: T): void;
}

const retryMs = 300;

/**
 * Follows all objects of a kind for as long as this process lives: lists, then watches, and does
 * both again whenever the API server went away.
 */
export async function followObjects<T extends KubernetesObject>(
  config: KubeConfig,
  path: string,
  query: Record<string, string>,
  list: () => Promise<ObjectList<T>>,
  watcher: Watcher<T>,
): Promise<never> {
  const watch = new Watch(config);
  for (;;) {
    try {
      const { items, metadata } = await list();
      watcher.replace(items);
      await watchOnce(
        watch,
        path,
        { ...query, resourceVersion: metadata?.resourceVersion },
        watcher,
      );
    } catch (error) {
      console.error(`watch of ${path} was interrupted: ${String(error)}`);
      await sleep(retryMs);
    }
  }
}

function watchOnce<T extends KubernetesObject>(
  watch: Watch,
  path: string,
  query: Record<string, string | undefined>,
  watcher: Watcher<T>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onEvent = (phase: string, object: T) => {
      if (phase === 'ADDED' || phase === 'MODIFIED') watcher.put(object);
      if (phase === 'DELETED') watcher.remove(object);
    };
    const onEnd = (error: unknown) => {
      if (error)
        reject(error instanceof Error ? error : new Error(`the watch of ${path} ended badly`));
      else resolve();
    };
    watch.watch(path, query, onEvent, onEnd).catch(reject);
  });
}
