/** `helm` as a child process. The flags are those that Helm 3 and 4 both know. */
import { createInterface } from 'node:readline';
import { ApplicationFailure } from '@temporalio/common';
import { execa, ExecaError } from 'execa';
import type { Settings } from '../../config/schema.ts';
import { failureTypes } from '../../contract/failures.ts';
import { printable } from '../../contract/printable.ts';
import { killGroup } from '../kill-group.ts';

export type HelmSettings = Settings['helm'];

/** Older ones lack flags of `helm rollback` that are used here; of newer ones nobody knows. */
const supported = { least: [3, 8], lastMajor: 4 } as const;
const longestReason = 600;
/** What the Kubernetes client calls the context of a pod's own service account. */
const inCluster = 'inClusterContext';

/** What `helm rollback` is to do. */
export interface HelmRollback {
  context: string;
  namespace: string;
  release: string;
  revision: number;
}

/**
 * A `helm rollback` that runs. Its debug output is not only for show: helm writes a line before each
 * thing that it does, and a process whose output nobody reads any more ends at its next line. So one
 * that has lost its worker does nothing further.
 */
export class HelmProcess {
  /**
   * Whether all is applied, so that helm only waits for the pods. Told by the words of its debug
   * output: with a Helm that has changed them, helm's own time-out ends a wait, and nothing sooner.
   */
  isWaiting = false;
  /** Why it failed, in helm's words; undefined where all went well. */
  readonly ended: Promise<string | undefined>;
  private isApplying = false;
  private isOver = false;
  private pid: number | undefined;

  constructor(settings: HelmSettings, wanted: HelmRollback) {
    this.ended = this.run(settings, wanted).finally(() => {
      this.isOver = true;
    });
  }

  /** Ends it at once; the release is left pending where it has begun. */
  async end(): Promise<void> {
    if (!this.isOver) killGroup(this.pid);
    await this.ended.catch(() => undefined);
  }

  private async run(
    { command, timeout }: HelmSettings,
    { context, namespace, release, revision }: HelmRollback,
  ): Promise<string | undefined> {
    const running = execa(
      command,
      [
        ...['rollback', release, String(revision), '--namespace', namespace],
        // Inside a cluster helm finds the service account by itself.
        ...(context === inCluster ? [] : ['--kube-context', context]),
        ...['--wait', '--timeout', `${Math.ceil(timeout / 1000)}s`],
        // By its own default helm would prune the history, and with it what an undo may need.
        ...['--history-max', '0', '--debug'],
      ],
      {
        ...{ stdin: 'ignore', stdout: 'ignore', buffer: false, reject: false },
        // A group of its own, so that what helm starts to log in ends with it.
        ...{ detached: true, cleanup: false, env: { HELM_DRIVER: 'secret' } },
      },
    );
    this.pid = running.pid;
    const reason: string[] = [];
    let isReason = false;
    if (running.pid !== undefined) {
      for await (const line of createInterface({ input: running.stderr })) {
        this.see(line);
        if (/^level=|\.go:\d+: .*\[debug\]/.test(line)) isReason = false;
        if (line.startsWith('Error: ')) isReason = true;
        if (isReason) reason.push(line.replace(/^Error: /, ''));
      }
    }
    const { failed, code, exitCode, signal } = await running;
    if (!failed) return undefined;
    if (exitCode === undefined && signal === undefined) throw notThere(command, code);
    const words = reason.map(withoutValues).join('; ') || `helm ended with ${exitCode ?? signal}`;
    return printable(words).slice(0, longestReason);
  }

  private see(line: string): void {
    if (/checking (\d+ )?resources for changes/.test(line)) this.isApplying = true;
    else if (this.isApplying && /waiting for resources|beginning wait/.test(line)) {
      this.isWaiting = true;
    }
  }
}

/** The API server may answer with a whole pod, and what is in its environment may be secret. */
function withoutValues(line: string): string {
  return line.replace(
    /Invalid value: (?!"[^"\\]{0,60}"|\d+:).*?(?=: field is immutable|$)/g,
    'Invalid value (not shown)',
  );
}

/**
 * Whether a failure passes by itself: a request of helm's had no answer (Go names it with its address
 * then), the API server could not answer, or somebody wrote at the same time.
 */
export function isPassing(failure: string): boolean {
  const hasNoAnswer = /\b(Get|Post|Put|Patch|Delete) \\?"https?:[^"]+": (?!.*x509)/.test(failure);
  return (
    hasNoAnswer ||
    /cluster unreachable|client connection lost|unexpected EOF|server is currently unable|etcdserver|too many requests|the object has been modified|already exists|please try again|ended with SIG/i.test(
      failure,
    )
  );
}

const checked = new Map<string, Promise<void>>();

/**
 * Makes sure that helm is there and of a version that is known to work; asked once by each worker.
 * @throws RejectedBySystem
 */
export async function assertHelm({ command }: Pick<HelmSettings, 'command'>): Promise<void> {
  const known = checked.get(command) ?? checkVersion(command);
  checked.set(command, known);
  try {
    await known;
  } catch (error) {
    // Somebody may install it.
    checked.delete(command);
    throw error;
  }
}

async function checkVersion(command: string): Promise<void> {
  let stdout: string;
  try {
    ({ stdout } = await execa(command, ['version', '--short'], { stdin: 'ignore' }));
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    if (error.exitCode === undefined) throw notThere(command, error.code);
    throw unusable(`${command} version fails: ${String(error.stderr).trim()}`);
  }
  const [, major, minor] = /v(\d+)\.(\d+)/.exec(stdout)?.map(Number) ?? [];
  const [leastMajor, leastMinor] = supported.least;
  const isOld =
    major === undefined ||
    minor === undefined ||
    major < leastMajor ||
    (major === leastMajor && minor < leastMinor);
  if (!isOld && major <= supported.lastMajor) return;
  throw unusable(
    `${command} is Helm ${stdout.trim()}; rollbacks are made with Helm ${supported.least.join('.')} up to ${supported.lastMajor}`,
  );
}

function notThere(command: string, code: string | undefined): ApplicationFailure {
  return unusable(`${command} cannot be started on this worker (${code ?? 'unknown reason'})`);
}

function unusable(what: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `${printable(what)}: install helm there, or name it in helm.command of the settings.`,
    failureTypes.rejectedBySystem,
  );
}
