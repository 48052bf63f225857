import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { kubeconfigFile } from './kubernetes/kubeconfig.ts';
import { keyFile, keysFolder, peopleFile } from './people.ts';
import { isAlive, readRecords } from './records.ts';
import { regionalKubeconfig, regionalSettings } from './regional-files.ts';
import { backupFolder, databaseName } from './servers/postgres.ts';
import { repository } from './setup/folders.mjs';
import { canonicalFolder, defaultFolder, readSandbox } from './state.ts';
import { temporalDevSettings } from './temporal-dev.ts';

/** The variables with which tools and tests find a sandbox. */
export type Environment = Readonly<{
  KUBECONFIG: string;
  TEMPORAL_ADDRESS: string;
  TEMPORAL_NAMESPACE: string;
  TEMPORAL_UI_URL: string;
  DATABASE_URL: string;
  REDIS_URL: string;
  WAKALA_URL: string;
  WAKALA_ADMIN_TOKEN: string;
  BACKUP_DIR: string;
  ROLLBACK_CONFIG: string;
  ROLLBACK_METRICS_ADDRESS: string;
  /** The demo people's private keys, and the caller's own among them. */
  ROLLBACK_KEYS: string;
  ROLLBACK_KEY: string;
  ROLLBACK_PEOPLE: string;
  ROLLBACK_WORKER_KEY: string;
  /** The caller's PATH, with the sandbox's programs first. */
  PATH: string;
}>;

/** The folder of a sandbox's programs: kubectl, helm, temporal, rollback, psql ... */
export function binFolder(dir: string): string {
  return join(dir, 'bin');
}

/** The variables of a sandbox that is up; throws a sentence that says how to start it otherwise. */
export function environment(dir: string = defaultFolder()): Environment {
  const folder = canonicalFolder(dir);
  const sandbox = readSandbox(folder);
  if (!sandbox || !readRecords(folder).some(isAlive)) {
    throw new Error(`No sandbox is up in ${folder}; start it with \`npm run sandbox -- up\`.`);
  }
  const { ports, wakalaAdminToken } = sandbox;
  const hasRegions = existsSync(regionalKubeconfig(folder));
  return {
    KUBECONFIG: hasRegions ? regionalKubeconfig(folder) : kubeconfigFile(folder),
    TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal}`,
    TEMPORAL_NAMESPACE: temporalDevSettings().namespace,
    TEMPORAL_UI_URL: `http://127.0.0.1:${ports.temporalUi}`,
    DATABASE_URL: `postgres://postgres@127.0.0.1:${ports.postgres}/${databaseName}`,
    REDIS_URL: `redis://127.0.0.1:${ports.redis}`,
    WAKALA_URL: `http://127.0.0.1:${ports.wakala}`,
    WAKALA_ADMIN_TOKEN: wakalaAdminToken,
    BACKUP_DIR: backupFolder(folder),
    ROLLBACK_CONFIG: hasRegions ? regionalSettings(folder) : join(repository, 'rollback.yaml'),
    ROLLBACK_METRICS_ADDRESS: `127.0.0.1:${ports.workerMetrics}`,
    ROLLBACK_KEYS: keysFolder(folder),
    ROLLBACK_KEY: keyFile(folder, 'on-call'),
    ROLLBACK_PEOPLE: peopleFile(folder),
    ROLLBACK_WORKER_KEY: keyFile(folder, 'worker'),
    PATH: `${binFolder(folder)}${delimiter}${process.env.PATH ?? ''}`,
  };
}

/** The variables as lines for a shell to evaluate. PATH is extended by the shell itself. */
export function exportLines(variables: Environment, dir: string = defaultFolder()): string {
  const { PATH: _, ...others } = variables;
  const lines = Object.entries(others).map(([name, value]) => `export ${name}=${quoted(value)}`);
  const bin = binFolder(canonicalFolder(dir));
  return [...lines, `export PATH=${quoted(bin)}"\${PATH:+:$PATH}"`].join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
