import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './folders.mjs';
import { requireGo } from './go.mjs';
import { withLock } from './lock.mjs';
import { runLogged } from './run.mjs';
import { say, sayWhile } from './say.mjs';

/**
 * A file with CustomResourceDefinitions in the Go module of the tool that they belong to.
 * @typedef {object} Source
 * @property {string} module with its version: the newest that Go 1.26 accepts, as the servers need
 * @property {string} file
 * @property {string[]} names those that the sandbox has
 */

/** @type {Source[]} */
const sources = [
  {
    module: 'istio.io/api@v1.31.1',
    file: 'kubernetes/customresourcedefinitions.gen.yaml',
    names: [
      'virtualservices.networking.istio.io',
      'destinationrules.networking.istio.io',
      'gateways.networking.istio.io',
      'serviceentries.networking.istio.io',
    ],
  },
  gatewayApi('httproutes'),
  gatewayApi('gateways'),
  gatewayApi('gatewayclasses'),
  {
    module: 'github.com/argoproj/argo-cd/v3@v3.4.13',
    file: 'manifests/crds/application-crd.yaml',
    names: ['applications.argoproj.io'],
  },
  {
    module: 'github.com/argoproj/argo-rollouts@v1.9.2',
    file: 'manifests/crds/rollout-crd.yaml',
    names: ['rollouts.argoproj.io'],
  },
  {
    module: 'github.com/fluxcd/flagger@v1.36.1',
    file: 'artifacts/flagger/crd.yaml',
    names: ['canaries.flagger.app'],
  },
  {
    module: 'github.com/fluxcd/kustomize-controller@v1.9.6',
    file: 'config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml',
    names: ['kustomizations.kustomize.toolkit.fluxcd.io'],
  },
  {
    module: 'github.com/fluxcd/helm-controller@v1.6.4',
    file: 'config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml',
    names: ['helmreleases.helm.toolkit.fluxcd.io'],
  },
];

/**
 * @param {string} plural
 * @returns {Source}
 */
function gatewayApi(plural) {
  return {
    module: 'sigs.k8s.io/gateway-api@v1.6.3',
    file: `config/crd/standard/gateway.networking.k8s.io_${plural}.yaml`,
    names: [`${plural}.gateway.networking.k8s.io`],
  };
}

/** Fetches the CustomResourceDefinitions of other people's tools, unless the cache has them. */
export async function ensureCustomResources() {
  const folder = fetchedFolder();
  if (existsSync(folder)) return;
  await withLock(`fetch ${folder}`, () => fetchAll(folder), {
    onWait: (pid) => say(`Waiting for process ${pid}, which fetches CustomResourceDefinitions.`),
  });
}

/**
 * Finds the manifest of every CustomResourceDefinition.
 * @returns {Map<string, string>} files by the name of the definition; throws when not fetched
 */
export function findCustomResources() {
  const folder = fetchedFolder();
  if (!existsSync(folder)) {
    throw new Error(
      'The CustomResourceDefinitions of the sandbox are missing; run `npm run setup` to get them.',
    );
  }
  return new Map(
    sources.flatMap(({ names }) => names.map((name) => [name, join(folder, `${name}.yaml`)])),
  );
}

function fetchedFolder() {
  const digest = createHash('sha256').update(JSON.stringify(sources)).digest('hex').slice(0, 12);
  return join(cacheFolder(), `crds-${digest}`);
}

/**
 * The folder appears only when it is whole. The modules are of no use afterwards, so Go keeps them
 * in a cache that is removed at once, not in the user's.
 * @param {string} folder
 */
async function fetchAll(folder) {
  if (existsSync(folder)) return;
  requireGo('1.26', 'fetch CustomResourceDefinitions');
  const partial = `${folder}.partial`;
  const modules = join(partial, 'modules');
  const manifests = join(partial, 'manifests');
  rmSync(partial, { recursive: true, force: true });
  for (const each of [modules, manifests]) mkdirSync(each, { recursive: true });
  const expectation = '54 MB, some seconds, the first time only';
  await sayWhile('Fetching CustomResourceDefinitions', expectation, async () => {
    await download(modules);
    for (const { module, file, names } of sources) {
      const documents = readFileSync(join(modules, module, file), 'utf8').split(/^---$/m);
      for (const name of names) {
        const found = documents.find((text) => text.split('\n').includes(`  name: ${name}`));
        if (!found)
          throw new Error(`${file} of ${module} has no CustomResourceDefinition ${name}.`);
        writeFileSync(join(manifests, `${name}.yaml`), found);
      }
    }
  });
  renameSync(manifests, folder);
  rmSync(partial, { recursive: true });
}

/** @param {string} modules the folder for Go's cache */
async function download(modules) {
  const logs = join(cacheFolder(), 'logs');
  mkdirSync(logs, { recursive: true });
  const log = join(logs, 'fetch-crds.log');
  writeFileSync(log, '');
  const names = new Set(sources.map(({ module }) => module));
  // Go makes modules read-only by default, and they could not be removed.
  const env = { ...process.env, GOFLAGS: '-modcacherw', GOMODCACHE: modules, GOWORK: 'off' };
  await runLogged('go', ['mod', 'download', ...names], { cwd: modules, env, log });
}
