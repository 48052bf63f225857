/**
 * Archives of a pod's state, made and read in the pod by its own `tar`, `ls`, `stat`, `mv`, `rm`,
 * `mkdir` and `sha256sum`: those of GNU, BusyBox and Toybox will do.
 */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { RunIdentity } from '../../../contract/plan.ts';
import type { Cluster } from '../api.ts';
import { type Container, type Ended, notStarted, runInContainer } from '../exec.ts';
import { PodCommandFailed } from '../pod-command-failed.ts';

/** Digits of the SHA-256 that an archive of a run has in its name, so that it vouches for itself. */
const hashInName = 16;
const ending = '.tar.gz';

/** The container that keeps a state, and the folder of its archives. */
export class Archives {
  readonly folder: string;
  private readonly cluster: Cluster;
  private readonly where: Container;
  private readonly signal: AbortSignal;

  constructor(cluster: Cluster, where: Container, folder: string, signal: AbortSignal) {
    this.cluster = cluster;
    this.where = where;
    this.folder = folder;
    this.signal = signal;
  }

  pathOf(file: string): string {
    return posix.join(this.folder, file);
  }

  async makeFolder(): Promise<void> {
    await this.run('mkdir', '-p', this.folder);
  }

  /** Names of all files in the folder, newest first; none where there is no folder. */
  async list(): Promise<string[]> {
    const ended = await this.attempt('ls', '-1t', this.folder);
    if (ended.exitCode === notStarted) throw this.failed('ls', ended);
    return ended.stdout.split('\n').filter(Boolean);
  }

  /** Bytes and time of change of a file; undefined where it is not there. */
  async find(file: string): Promise<{ bytes: number; changedAt: string } | undefined> {
    const { exitCode, stdout } = await this.attempt('stat', '-c', '%s %Y', this.pathOf(file));
    const [bytes, seconds] = stdout.trim().split(' ').map(Number);
    if (exitCode !== 0 || bytes === undefined || seconds === undefined) return undefined;
    return { bytes, changedAt: new Date(seconds * 1000).toISOString() };
  }

  /** What a folder has in it; undefined where there is no such folder. */
  async entriesOf(path: string): Promise<string[] | undefined> {
    const ended = await this.attempt('ls', '-A', path);
    if (ended.exitCode === notStarted) throw this.failed('ls', ended);
    return ended.exitCode === 0 ? ended.stdout.split('\n').filter(Boolean) : undefined;
  }

  /** SHA-256 of a file in hex. */
  async sha256(file: string): Promise<string> {
    const stdout = await this.run('sha256sum', this.pathOf(file));
    const [, sum] = /^\\?([0-9a-f]{64})\s/.exec(stdout) ?? [];
    if (sum) return sum;
    throw new PodCommandFailed(`sha256sum in pod ${this.where.pod} said no checksum of ${file}.`);
  }

  /**
   * Files in an archive, which is read to its end.
   * @throws {PodCommandFailed} for one that is cut off or no archive.
   */
  async count(file: string): Promise<number> {
    let files = 0;
    let last = 10;
    const counted = (chunk: Buffer) => {
      for (const byte of chunk) {
        // Folders end with a slash.
        if (byte === 10 && last !== 47) files++;
        last = byte;
      }
    };
    const command = ['tar', '-tzf', this.pathOf(file)];
    const ended = await runInContainer(this.cluster, this.where, command, this.signal, counted);
    if (ended.exitCode !== 0) throw this.failed('tar', ended, `${file} cannot be listed`);
    return files;
  }

  /**
   * Makes an archive of the folders; answers what tar had to say, such as that a file changed while it
   * was read.
   * @throws {PodCommandFailed} where something is missing in it.
   */
  async create(file: string, data: readonly string[]): Promise<string | undefined> {
    const ended = await this.attempt('tar', '-czf', this.pathOf(file), ...data);
    // GNU tar ends with 1 where files changed while it read them: a service that is up writes.
    const changed = ended.stderr.split('\n').filter((line) => /changed as we read it/.test(line));
    if (ended.exitCode === 1 && changed.length > 0) {
      return `${changed.length} of its files changed while they were read`;
    }
    if (ended.exitCode !== 0) throw this.failed('tar', ended, `${data.join(', ')} not archived`);
    return undefined;
  }

  /** Puts what the archive has over what is there. */
  async extract(file: string): Promise<void> {
    await this.run('tar', '-xzf', this.pathOf(file), '-C', '/');
  }

  async rename(file: string, to: string): Promise<void> {
    await this.run('mv', this.pathOf(file), this.pathOf(to));
  }

  async remove(files: readonly string[]): Promise<void> {
    if (files.length > 0) await this.run('rm', '-f', ...files.map((file) => this.pathOf(file)));
  }

  private attempt(...command: string[]): Promise<Ended> {
    return runInContainer(this.cluster, this.where, command, this.signal);
  }

  private async run(...command: string[]): Promise<string> {
    const ended = await this.attempt(...command);
    if (ended.exitCode === 0) return ended.stdout;
    throw this.failed(command[0] ?? '', ended);
  }

  private failed(program: string, { exitCode, stderr }: Ended, what?: string): PodCommandFailed {
    const lines = stderr.trim().split('\n').filter(Boolean);
    const last = lines.findLast((line) => !/^tar: (Removing leading|Exiting with)/.test(line));
    const why = exitCode === notStarted ? 'could not be started' : `ended with ${exitCode}`;
    return new PodCommandFailed(
      `${program} in pod ${this.where.pod}, container ${this.where.container}, ${why}${last ? ` (${last.slice(0, 300)})` : ''}${what ? `: ${what}` : ''}.`,
    );
  }
}

/** Beginning of the names of all archives that a run makes of a pod. */
export function archivePrefix({ workflowId, firstRunId }: RunIdentity, pod: string): string {
  // The name of the run for people, and its identity for a later one with the same name.
  const identity = createHash('sha256').update(`${workflowId}/${firstRunId}`).digest('hex');
  return `${runPrefix(workflowId)}${identity.slice(0, 8)}-${pod}`;
}

/** Beginning of the names of archives of all pods that runs with this workflow id made. */
export function runPrefix(workflowId: string): string {
  return `state-${workflowId.replace(/[^\w-]+/g, '-').slice(0, 100)}-`;
}

/** Name of a complete archive. */
export function archiveName(prefix: string, sha256: string): string {
  return `${prefix}.${sha256.slice(0, hashInName)}${ending}`;
}

/** Name of one that an attempt of a run is about to make. */
export function partialName(prefix: string, attempt: string): string {
  return `${prefix}.partial-${attempt}`;
}

/** Those of the files that attempts of the run have left half-done. */
export function partialsOf(prefix: string, files: readonly string[]): string[] {
  return files.filter((file) => file.startsWith(`${prefix}.partial-`));
}

/** The complete archive of a run among the files; undefined where there is none. */
export function completeOf(prefix: string, files: readonly string[]): string | undefined {
  return files.find((file) => file.startsWith(`${prefix}.`) && file.endsWith(ending));
}

/** Whether an archive that a run made still has the contents that its name says. */
export function vouchesFor(file: string, sha256: string): boolean {
  return file.endsWith(`.${sha256.slice(0, hashInName)}${ending}`);
}

/**
 * The archive that a person means, among the files of the pod's folder, newest first; undefined where
 * there is none. A folder that several pods share has archives of others, which are never meant.
 * @param wanted `previous`, the name of a file, or the workflow id of the run that made it
 */
export function chooseArchive(
  wanted: string,
  pod: string,
  files: readonly string[],
): string | undefined {
  const own = files.filter((file) => !isOfAnother(pod, file));
  const archives = own.filter((file) => file.startsWith('state-') && file.endsWith(ending));
  if (wanted === 'previous') {
    return archives.find((file) => file === `state-previous${ending}`) ?? archives[0];
  }
  return (
    own.find((file) => file === wanted) ??
    archives.find((file) => file.startsWith(runPrefix(wanted)))
  );
}

/** Whether a run made the archive of another pod. */
function isOfAnother(pod: string, file: string): boolean {
  const [, rest] = /-[0-9a-f]{8}(-[a-z0-9.-]+)\.[0-9a-f]{16}\.tar\.gz$/.exec(file) ?? [];
  return rest !== undefined && !rest.endsWith(`-${pod}`);
}
