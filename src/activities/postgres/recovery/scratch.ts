import { chown, mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refused } from '../../failures.ts';
import { startKeeper } from '../keeper.ts';
import { type ProgramOptions, runProgram } from '../run-program.ts';

/**
 * Lives as long as the worker holds its standard input, and is told by each line which process groups
 * are at work. Then it ends those, PostgreSQL by an immediate shutdown, and removes the folder.
 */
const keeperScript = `
groups=
while read -r line; do groups=$line; done
for signal in QUIT KILL; do
  for wait in 1 2 3 4 5 6 7 8 9 10; do
    alive=
    for group in $groups; do kill -s $signal -- "-$group" 2>/dev/null && alive=yes; done
    [ -z "$alive" ] && break 2
    sleep 0.2
  done
done
# What was killed may end a little later.
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }`;

type Account = NonNullable<ProgramOptions['account']>;
type Running = Omit<ProgramOptions, 'account'>;

/**
 * A folder for what is thrown away, and programs that work in it. All of it goes when the work is
 * done, and when the worker is killed: a process beside it sees to that.
 */
export class Scratch {
  readonly folder: string;
  private readonly account: Account | undefined;
  private readonly keeper: ReturnType<typeof startKeeper>;
  private readonly groups = new Set<number>();

  private constructor(folder: string, account: Account | undefined) {
    this.folder = folder;
    this.account = account;
    this.keeper = startKeeper(keeperScript, [folder]);
  }

  /**
   * @param parent default: the system's folder for such
   * @param source folder whose owner the programs run as, where the worker is root: PostgreSQL does not run as root
   * @throws Refused where that is root as well
   */
  static async open(parent: string = tmpdir(), source: string): Promise<Scratch> {
    const account = await accountOf(source);
    const folder = await mkdtemp(join(parent, 'rollback-recovery-'));
    if (account) await chown(folder, account.uid, account.gid);
    return new Scratch(folder, account);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(this.path(name), text);
    if (this.account) await chown(this.path(name), this.account.uid, this.account.gid);
  }

  /** Runs a program as `runProgram` does; answers why it failed. */
  async run(file: string, args: readonly string[], options: Running): Promise<string | undefined> {
    let group: number | undefined;
    const started = (found: number) => {
      group = found;
      this.tell(this.groups.add(found));
      options.started?.(found);
    };
    try {
      return await runProgram(file, args, { ...options, account: this.account, started });
    } finally {
      if (group !== undefined) this.groups.delete(group);
      this.tell(this.groups);
    }
  }

  /** Ends what is still at work and removes the folder. */
  async close(): Promise<void> {
    this.keeper.stdin.end();
    await this.keeper;
  }

  private tell(groups: ReadonlySet<number>): void {
    this.keeper.stdin.write(`${[...groups].join(' ')}\n`);
  }
}

/** @throws Refused where PostgreSQL would have to run as root. */
export async function accountOf(source: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(source);
  if (uid !== 0) return { uid, gid };
  throw refused(
    `PostgreSQL does not run as root, and both this worker and the owner of ${source} are root: run the worker as another user, or give the folder to one.`,
  );
}
