import { EventEmitter } from 'node:events';
import type { V1Pod } from '@kubernetes/client-node';

/** One line that a container wrote. */
export interface LogLine {
  /** When, in ms of the epoch. */
  readonly at: number;
  readonly text: string;
}

/** Which lines of a log are asked for. */
export interface LogQuery {
  /** Only lines from this time on, in ms of the epoch. */
  readonly since?: number;
  /** Only so many of the last lines. */
  readonly tail?: number;
}

/** A container's log: emits `line` for each new one, and `end` when its pod is gone. */
class ContainerLog extends EventEmitter<{ line: [LogLine]; end: [] }> {
  readonly lines: LogLine[] = [];
}

const keptLines = 5000;

/** The logs of all containers of the cluster, as far as they are kept: in memory. */
export class PodLogs {
  readonly #logs = new Map<string, Map<string, ContainerLog>>();

  /** Begins the log of a pod's containers as soon as they run, or have ended at once. */
  observe(pod: V1Pod): void {
    for (const { name, image, state, lastState } of pod.status?.containerStatuses ?? []) {
      const begun = state?.running?.startedAt ?? lastState?.terminated?.startedAt;
      const uid = pod.metadata?.uid ?? '';
      if (!begun || this.#logs.get(uid)?.has(name)) continue;
      const at = new Date(begun).getTime();
      this.write(uid, name, 'INFO', `started ${image}`, at);
      if (lastState?.terminated) {
        this.write(uid, name, 'ERROR', 'cannot start: the setting PRICES_URL is missing', at);
      }
    }
  }

  /** Adds a line to the log of a pod's container. */
  write(uid: string, container: string, level: 'INFO' | 'ERROR', text: string, at?: number): void {
    const log = this.#logOf(uid, container);
    const time = at ?? Date.now();
    const line = { at: time, text: `${new Date(time).toISOString()} ${level} ${text}` };
    log.lines.push(line);
    if (log.lines.length > keptLines) log.lines.splice(0, log.lines.length - keptLines);
    log.emit('line', line);
  }

  /** The lines of a container's log; undefined when it has none yet. */
  read(uid: string, container: string, { since, tail }: LogQuery): LogLine[] | undefined {
    const log = this.#logs.get(uid)?.get(container);
    if (!log) return undefined;
    const lines = since === undefined ? log.lines : log.lines.filter(({ at }) => at >= since);
    return tail === undefined ? [...lines] : lines.slice(Math.max(0, lines.length - tail));
  }

  /** Tells of new lines until the pod is gone or the returned function is called. */
  follow(
    uid: string,
    container: string,
    onLine: (line: LogLine) => void,
    onEnd: () => void,
  ): () => void {
    const log = this.#logOf(uid, container);
    log.setMaxListeners(0);
    log.on('line', onLine).once('end', onEnd);
    return () => log.off('line', onLine).off('end', onEnd);
  }

  /** Drops the logs of a pod that is gone. */
  forget(uid: string): void {
    for (const log of this.#logs.get(uid)?.values() ?? []) log.emit('end');
    this.#logs.delete(uid);
  }

  #logOf(uid: string, container: string): ContainerLog {
    const ofPod = this.#logs.get(uid) ?? new Map<string, ContainerLog>();
    const log = ofPod.get(container) ?? new ContainerLog();
    this.#logs.set(uid, ofPod.set(container, log));
    return log;
  }
}
