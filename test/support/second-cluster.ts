import { execa } from 'execa';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { down, up } from '../../sandbox/sandbox.ts';

interface Kubeconfig {
  clusters: { name: string; cluster: { server: string } }[];
  users: { name: string; user: object }[];
}

/** A cluster as a kubeconfig names it. */
export type NamedCluster = [name: string, config: Kubeconfig];

/** The clusters of two regions: the tests' own, and one beside it that a test may take down. */
export class TwoClusters {
  readonly first: Kubeconfig;
  readonly second: Kubeconfig;
  private readonly folder: string;

  private constructor(folder: string, first: string, second: string) {
    this.folder = folder;
    this.first = readKubeconfig(first);
    this.second = readKubeconfig(second);
  }

  /** Starts the second one. */
  static async start(): Promise<TwoClusters> {
    const folder = mkdtempSync(join(tmpdir(), 'rollback-regions-'));
    const without = ['temporal', 'postgres', 'redis', 'wakala'] as const;
    const { KUBECONFIG } = await up({ dir: join(folder, 'second'), readyMs: 300, without });
    return new TwoClusters(folder, process.env.KUBECONFIG ?? '', KUBECONFIG);
  }

  /** Ends the second one. */
  async down(): Promise<void> {
    await down(join(this.folder, 'second'));
  }

  /** Writes a kubeconfig with a context for each; the first is the current one. */
  kubeconfig(name: string, clusters: NamedCluster[]): string {
    const kubeconfig = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': clusters[0]?.[0] },
      clusters: clusters.map(([name, part]) => ({ ...part.clusters[0], name })),
      users: clusters.map(([name, part]) => ({ ...part.users[0], name })),
      contexts: clusters.map(([name]) => ({ name, context: { cluster: name, user: name } })),
    };
    const file = join(this.folder, name);
    writeFileSync(file, JSON.stringify(kubeconfig), { mode: 0o600 });
    return file;
  }
}

/** The same cluster at another address. */
export function movedTo(config: Kubeconfig, server: string): Kubeconfig {
  const moved = structuredClone(config);
  for (const { cluster } of moved.clusters) cluster.server = server;
  return moved;
}

/** Makes the namespace in the cluster of that context as well. */
export async function alsoIn(context: string, namespace: string): Promise<void> {
  await execa('kubectl', ['--context', context, 'create', 'namespace', namespace]);
}

function readKubeconfig(file: string): Kubeconfig {
  return parse(readFileSync(file, 'utf8')) as Kubeconfig;
}
