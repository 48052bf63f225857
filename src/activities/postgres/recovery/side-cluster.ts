/** A server beside the live one, which recovers a base backup to a point in time and is then dumped. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { RecoverySettings } from '../../../config/databases.ts';
import type { Target } from '../../../contract/plan.ts';
import type { Progress } from '../../progress.ts';
import { programPath } from '../run-program.ts';
import type { BaseBackup } from './base-backups.ts';
import {
  addressIn,
  type ControlData,
  recoveryParameters,
  sizeParameters,
  unpackCommands,
} from './parameters.ts';
import type { Scratch } from './scratch.ts';

/** How long the server gets to end by itself. */
const patienceMs = 10_000;

export interface RecoveryOptions {
  settings: RecoverySettings;
  /** Folder of PostgreSQL's programs; default: the worker's PATH. */
  programs: string | undefined;
  scratch: Scratch;
  progress: Progress;
}

export const serverIdentity = 'Database system identifier';

export class SideCluster {
  /** When the last transaction that it has was committed, in the server's words; undefined where there is none. */
  lastTransaction: string | undefined;
  private readonly options: RecoveryOptions;
  private readonly data: string;
  /** Ends the server at once. */
  private readonly end = new AbortController();
  private serving: Promise<string | undefined> | undefined;
  private pid: number | undefined;

  constructor(options: RecoveryOptions) {
    this.options = options;
    this.data = options.scratch.path('data');
  }

  /** Unpacks a base backup and makes sure that each file is as its manifest says; answers why it is not. */
  async unpack({ path }: BaseBackup): Promise<string | undefined> {
    const { data } = this;
    this.options.progress.report('Unpacking the base backup');
    const script = ['-ec', unpackCommands, 'unpack', path, data];
    const unpacked = await this.run('sh', script);
    if (unpacked !== undefined) return unpacked;
    this.options.progress.report('Comparing each file with the manifest of the base backup');
    return this.run(this.program('pg_verifybackup'), ['--no-parse-wal', '--exit-on-error', data]);
  }

  async control(): Promise<ControlData> {
    return readControl(this.data, this.options.programs);
  }

  /**
   * Recovers to `to`, and returns when the server can be asked.
   * @param to ISO 8601 in UTC, to the microsecond
   * @param segments of WAL that it is expected to read, for progress
   * @returns why it cannot
   */
  async recover(to: string, control: ControlData, segments: number): Promise<string | undefined> {
    const { scratch, progress } = this.options;
    await this.configure(to, control);
    let read = 0;
    const ready = Promise.withResolvers<undefined>();
    const see = (line: string) => {
      if (/restored log file "[0-9A-F]{24}"/.test(line)) {
        read += 1;
        const percent = Math.min(99, Math.floor((read / Math.max(1, segments)) * 100));
        progress.report(`Recovering: segment ${read} of about ${segments} of WAL`, percent, 100);
      }
      const [, last] = /last completed transaction was at log time (.*)$/.exec(line) ?? [];
      this.lastTransaction = last ?? this.lastTransaction;
      if (line.includes('database system is ready to accept connections')) ready.resolve(undefined);
    };
    progress.report('Recovering', 0, 100);
    progress.cancelled.throwIfAborted();
    const args = ['-D', this.data, '-c', `config_file=${scratch.path('postgresql.conf')}`];
    const started = (pid: number) => {
      this.pid = pid;
    };
    const options = { cancelled: this.end.signal, see, started };
    this.serving = scratch.run(this.program('postgres'), args, options).finally(() => {
      this.pid = undefined;
    });
    progress.cancelled.addEventListener('abort', () => void this.stop(), { once: true });
    // It ends by itself only where it could not recover.
    const ended = this.serving.then((why) => why ?? 'it has ended');
    const reason = await Promise.race([ready.promise, ended]);
    progress.cancelled.throwIfAborted();
    return reason;
  }

  /** Dumps a database of the server into a folder; answers why it cannot. */
  async dump(database: string, user: string, jobs: number, folder: string) {
    const { progress, scratch } = this.options;
    progress.report(`Dumping ${database}`);
    const address = addressIn(scratch.folder, database);
    return this.run(this.program('pg_dump'), [
      ...[`--dbname=${address}`, `--username=${user}`, `--jobs=${jobs}`, `--file=${folder}`],
      ...['--format=directory', '--compress=0', '--no-sync'],
    ]);
  }

  /** Ends the server and removes its files. */
  async close(): Promise<void> {
    await this.stop();
    // Of a server that had to be killed, processes may end later than itself.
    await rm(this.data, { recursive: true, force: true, maxRetries: 5 });
  }

  /** By an immediate shutdown, which leaves none of its processes and no shared memory behind. */
  private async stop(): Promise<void> {
    if (this.pid === undefined) return;
    const kill = setTimeout(() => this.end.abort(), patienceMs);
    try {
      process.kill(this.pid, 'SIGQUIT');
    } catch {
      // It has ended by itself.
    }
    await this.serving?.catch(() => undefined);
    clearTimeout(kill);
  }

  private run(file: string, args: readonly string[]): Promise<string | undefined> {
    const { scratch, progress } = this.options;
    return scratch.run(file, args, { cancelled: progress.cancelled });
  }

  private program(name: string): string {
    return programPath(name, this.options.programs);
  }

  private async configure(to: string, control: ControlData): Promise<void> {
    const { settings, scratch } = this.options;
    const { folder } = scratch;
    const parameters = recoveryParameters({ settings, folder, to }) + sizeParameters(control);
    await scratch.write('postgresql.conf', parameters);
    // Its folder is nobody else's.
    await scratch.write('pg_hba.conf', 'local all all trust\n');
    await scratch.write('pg_ident.conf', '');
    await scratch.write('data/postgresql.auto.conf', '');
    await rm(join(this.data, 'standby.signal'), { force: true });
    await scratch.write('data/recovery.signal', '');
  }
}

/** Reads what a cluster's files say of it; empty where they cannot be read. */
export async function readControl(
  data: string,
  programs: string | undefined,
): Promise<ControlData> {
  const { stdout } = await execa(programPath('pg_controldata', programs), ['-D', data], {
    ...{ stdin: 'ignore', reject: false, timeout: 10_000, env: { LC_ALL: 'C' } },
  });
  return new Map(
    stdout?.split('\n').map((line) => {
      const [name = '', value = ''] = line.split(/: +/);
      return [name, value];
    }),
  );
}

/** Why a cluster is none that the target's server was copied to; undefined where it is. */
export function strangerOf(control: ControlData, { uid }: Target): string | undefined {
  const found = control.get(serverIdentity);
  if (found === undefined) return 'it has no control file that can be read';
  return found === uid ? undefined : `it is of another server (${found}, and not ${uid})`;
}
