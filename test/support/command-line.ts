import { execa, type Options } from 'execa';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { shellWord } from '../../src/contract/printable.ts';

/** What a command ended with. */
export interface Ended {
  exitCode: number | undefined;
  stdout: string;
  stderr: string;
}

/** Nobody listens here. */
export const nowhere = '127.0.0.1:1';

const program = resolve(import.meta.dirname, '../../bin/rollback');

/** A settings file of its own in a new folder, with this text. */
export function settingsFileWith(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'rollback-cli-')), 'rollback.yaml');
  writeFileSync(file, text);
  return file;
}

/** The CLI as a person or a script runs it, with these variables beside those of the sandbox. */
export class CommandLine {
  private readonly variables: Record<string, string | undefined>;

  constructor(variables: Record<string, string | undefined>) {
    // Jest's own wishes are not those of the shell that the CLI is usually started from.
    const own = { NODE_OPTIONS: undefined, FORCE_COLOR: undefined, TEMPORAL_UI_URL: undefined };
    this.variables = { ...own, ...variables };
  }

  with(variables: Record<string, string | undefined>): CommandLine {
    return new CommandLine({ ...this.variables, ...variables });
  }

  /** Runs `rollback` to its end. */
  run(...args: string[]): Promise<Ended> {
    return this.execute(args, {});
  }

  /** Runs `rollback` with a text on its standard input. */
  async runWith(input: string, ...args: string[]): Promise<Ended> {
    return this.execute(args, { input });
  }

  /** Runs `rollback` on a terminal of its own, where somebody types `typed`; both outputs are its stdout. */
  async onTerminal(typed: string, ...args: string[]): Promise<Ended> {
    const command = [program, ...args].map(shellWord).join(' ');
    const { exitCode, stdout } = await execa('script', ['-qec', command, '/dev/null'], {
      ...{ input: typed, env: this.variables, reject: false },
    });
    return { exitCode, stdout: stdout.replaceAll('\r', ''), stderr: '' };
  }

  /** Runs `rollback ... --json` and answers what it printed, a value for each line. */
  async json<T>(...args: string[]): Promise<T[]> {
    const { stdout, stderr } = await this.run(...args, '--json');
    if (stdout === '') throw new Error(`rollback ${args.join(' ')} printed nothing: ${stderr}`);
    return stdout.split('\n').map((line) => JSON.parse(line) as T);
  }

  private async execute(args: string[], options: Options): Promise<Ended> {
    const { exitCode, stdout, stderr } = await execa(program, args, {
      ...options,
      env: this.variables,
      reject: false,
    });
    return { exitCode, stdout: String(stdout), stderr: String(stderr) };
  }
}
