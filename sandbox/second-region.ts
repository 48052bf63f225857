/** A second cluster beside a sandbox, so that rollbacks over several regions can be seen. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, parseDocument, stringify } from 'yaml';
import { down } from './down.ts';
import type { Environment } from './environment.ts';
import { kubeconfigFile } from './kubernetes/kubeconfig.ts';
import { regionalKubeconfig, regionalSettings } from './regional-files.ts';
import { repository } from './setup/folders.mjs';
import { findServers } from './setup/servers.mjs';
import { canonicalFolder, defaultFolder } from './state.ts';
import { up, type UpOptions } from './up.ts';

const run = promisify(execFile);
const [first, second] = ['eu', 'us'];

interface Kubeconfig {
  clusters: { cluster: object }[];
  users: { user: object }[];
}

/**
 * Brings a sandbox up whose own cluster is region `eu`, and beside it another cluster as region `us`,
 * with the example service in both.
 */
export async function upWithRegions(options: UpOptions): Promise<Environment> {
  const dir = canonicalFolder(options.dir ?? defaultFolder());
  const { readyMs, signal, onLine } = options;
  await up({ ...options, dir, worker: false });
  const without = ['temporal', 'postgres', 'redis', 'wakala'] as const;
  const beside = join(dir, second);
  await up({ dir: beside, readyMs, signal, onLine, without });
  writeKubeconfig(dir, beside);
  writeSettings(dir);
  const { kubectl } = findServers();
  const manifests = join(repository, 'sandbox', 'wakala', 'manifests.yaml');
  await run(kubectl, ['--kubeconfig', kubeconfigFile(beside), 'apply', '-f', manifests]);
  // A worker that runs already knows one region only.
  await down(dir, { only: ['worker'] });
  return up({ ...options, dir });
}

/** One kubeconfig with a context for each region. */
function writeKubeconfig(dir: string, beside: string): void {
  const parts = [dir, beside].map(
    (folder) => parse(readFileSync(kubeconfigFile(folder), 'utf8')) as Kubeconfig,
  );
  const named = <T>(of: (part: Kubeconfig) => T) =>
    parts.map((part, index) => ({ name: index === 0 ? first : second, ...of(part) }));
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': first },
    clusters: named(({ clusters }) => ({ cluster: clusters[0]?.cluster })),
    users: named(({ users }) => ({ user: users[0]?.user })),
    contexts: [first, second].map((name) => ({
      name,
      context: { cluster: name, user: name, namespace: 'production' },
    })),
  };
  writeFileSync(regionalKubeconfig(dir), stringify(config), { mode: 0o600 });
}

/** The example settings with both regions; commands in them are relative to the repository. */
function writeSettings(dir: string): void {
  const settings = parseDocument(readFileSync(join(repository, 'rollback.yaml'), 'utf8'));
  settings.set('regions', { [first]: { context: first }, [second]: { context: second } });
  const smoke = ['services', 'wakala-api', 'checks', 'smoke', 'command', 0];
  settings.setIn(smoke, join(repository, String(settings.getIn(smoke))));
  // The example service answers and logs for the pods of the first region only.
  settings.deleteIn(['services', 'wakala-api', 'checks', 'logs']);
  writeFileSync(regionalSettings(dir), settings.toString());
}

/** Ends the second cluster of a sandbox, where it has one. */
export async function downSecondRegion(dir: string): Promise<string[]> {
  const beside = join(canonicalFolder(dir), second);
  if (!existsSync(beside)) return [];
  const stopped = await down(beside);
  return stopped.map((name) => `${name} of ${second}`);
}
