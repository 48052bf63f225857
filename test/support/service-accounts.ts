import { execa } from 'execa';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

interface Manifest {
  kind: 'ServiceAccount' | 'Role' | 'RoleBinding' | 'ClusterRole' | 'ClusterRoleBinding';
  rules?: Rule[];
}

interface Kubeconfig {
  contexts: { name: string; context: { cluster: string; user: string } }[];
  users: { name: string; user: { token: string } }[];
}

/** One verb on one kind, left out of the role. */
export interface Missing {
  /** A right in the namespace is also had by who has it everywhere. */
  kind: 'Role' | 'ClusterRole' | 'both';
  verb: string;
  resource: string;
}

const deploy = resolve(import.meta.dirname, '../../deploy');

/** Namespaces of what is rolled back, and of what owns it. */
interface Places {
  own: string;
  owners: string;
}

/** Manifests of a file of deploy/, for other namespaces and under another name. */
function manifests(
  file: string,
  { own, owners }: Places,
  name: string,
  missing?: Missing,
): Manifest[] {
  const text = readFileSync(join(deploy, file), 'utf8')
    .replaceAll('namespace: production', `namespace: ${own}`)
    .replaceAll(/namespace: (argocd|flux-system)/g, `namespace: ${owners}`)
    .replaceAll('name: rollback-worker', `name: ${name}`);
  return parseAllDocuments(text).map((document) => {
    const manifest = document.toJS() as Manifest;
    const isConcerned = missing && (missing.kind === 'both' || missing.kind === manifest.kind);
    if (!isConcerned || !manifest.rules) return manifest;
    const rules = manifest.rules.flatMap((rule) =>
      rule.resources.map((resource) => ({
        ...rule,
        resources: [resource],
        verbs: rule.verbs.filter((verb) => resource !== missing.resource || verb !== missing.verb),
      })),
    );
    return { ...manifest, rules: rules.filter(({ verbs }) => verbs.length > 0) };
  });
}

/** What the service accounts are for. */
interface Granted {
  /** Namespace in which Argo CD and Flux are, where that is another one. */
  owners: string;
  /** Files of deploy/. */
  files: string[];
}

/**
 * Makes a service account for each entry, with the roles of deploy/ without what is missing, and
 * answers a kubeconfig with a context for each under the entry's name, beside the tests' own.
 */
export async function makeServiceAccounts(
  cluster: TestCluster,
  wanted: Record<string, Missing | undefined>,
  { owners = cluster.namespace, files = ['kubernetes-role.yaml'] }: Partial<Granted> = {},
): Promise<string> {
  const { namespace } = cluster;
  const places = { own: namespace, owners };
  const names = Object.keys(wanted);
  const account = (name: string) => `${namespace}-${name}`;
  const items = names.flatMap((name) =>
    files.flatMap((file) => manifests(file, places, account(name), wanted[name])),
  );
  const list = { apiVersion: 'v1', kind: 'List', items };
  await execa('kubectl', ['apply', '-f', '-'], { input: JSON.stringify(list) });
  const config = parse(readFileSync(process.env.KUBECONFIG ?? '', 'utf8')) as Kubeconfig;
  const [own] = config.contexts;
  for (const name of names) {
    const token = await cluster.kubectl('create', 'token', account(name));
    config.users.push({ name, user: { token } });
    config.contexts.push({ name, context: { cluster: own?.context.cluster ?? '', user: name } });
  }
  const file = join(mkdtempSync(join(tmpdir(), 'rollback-accounts-')), 'kubeconfig');
  writeFileSync(file, stringify(config));
  return file;
}

/** Takes a right away from a service account that has the role of deploy/, and waits until that counts. */
export async function takeAway(
  cluster: TestCluster,
  name: string,
  missing: Missing,
): Promise<void> {
  const { namespace } = cluster;
  const places = { own: namespace, owners: namespace };
  const items = manifests('kubernetes-role.yaml', places, `${namespace}-${name}`, missing);
  const list = { apiVersion: 'v1', kind: 'List', items };
  await execa('kubectl', ['apply', '-f', '-'], { input: JSON.stringify(list) });
  const { verb, resource } = missing;
  const ask = ['-n', namespace, '--context', name, 'auth', 'can-i', verb, resource];
  await eventually(`${name} may not ${verb} ${resource}`, async () => {
    const { stdout } = await execa('kubectl', ask, { reject: false });
    return stdout.trim() === 'no';
  });
}

/** Takes back what `makeServiceAccounts` made outside of the namespace. */
export async function removeClusterRoles(cluster: TestCluster, names: string[]): Promise<void> {
  const accounts = names.map((name) => `${cluster.namespace}-${name}`);
  await execa('kubectl', ['delete', 'clusterrole', ...accounts]);
  await execa('kubectl', ['delete', 'clusterrolebinding', ...accounts]);
}
