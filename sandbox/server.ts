import type { Account } from './postgres-account.ts';

/** How a server is run. */
export interface ServerCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Added to the environment of the command that starts the sandbox. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whom it runs as, where that is not the caller. */
  readonly account?: Account;
}

/** One server of the sandbox. */
export interface Server {
  readonly name: string;
  /** Where it can be reached, as people and tools write it. */
  readonly address: string;
  /** The servers that must be ready before this one is started. */
  readonly after: readonly string[];
  readonly stopSignal: 'SIGINT' | 'SIGTERM';
  /** Makes the files that it needs, and says how to run it. Safe to do again. */
  command(): Promise<ServerCommand> | ServerCommand;
  /** Whether it answers; asked again and again while it starts. `log` is its log so far. */
  isReady(log: string): Promise<boolean> | boolean;
  /** Does what must be done once it answers. Safe to do again. */
  finish?(): Promise<void>;
}
