import { execa } from 'execa';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';
import { eventually } from './eventually.ts';

/** A line of the worker's log. */
export interface LogLine {
  level: string;
  msg: string;
  [field: string]: unknown;
}

/** The worker's own process, with its log as a collector of logs reads it. */
export class LoggedWorker {
  /** Everything it has written so far, as it came. */
  readonly lines: string[] = [];
  private readonly process;

  constructor(variables: Record<string, string>) {
    this.process = execa(process.execPath, ['src/workers/main.ts'], {
      cwd: resolve(import.meta.dirname, '../..'),
      env: { NODE_OPTIONS: undefined, ...variables },
      reject: false,
      all: true,
    });
    createInterface({ input: this.process.all }).on('line', (line) => this.lines.push(line));
  }

  /** The log so far; a line that is no JSON object is an error. */
  log(): LogLine[] {
    return this.lines.map((line) => JSON.parse(line) as LogLine);
  }

  /** Waits for a line of the log. */
  said(words: string | RegExp): Promise<LogLine> {
    return eventually(`the worker says "${words}" (${this.lines.length} lines so far)`, () =>
      Promise.resolve(this.log().find(({ msg }) => new RegExp(words).test(msg))),
    );
  }

  /** The exit code of a process that ends by itself, or after a signal. */
  async ended(signal?: NodeJS.Signals): Promise<number | undefined> {
    if (signal) this.process.kill(signal);
    return (await this.process).exitCode;
  }
}
