/** Which versions of a kind a cluster serves: `v1`, or only what came before it. */
import type { Cluster } from './api.ts';

/** What is served changes when somebody installs a tool anew. */
const rememberedForMs = 60_000;

export class Discovery {
  private readonly cluster: Pick<Cluster, 'get'>;
  private readonly known = new Map<string, { at: number; answer: Promise<unknown> }>();

  constructor(cluster: Pick<Cluster, 'get'>) {
    this.cluster = cluster;
  }

  /**
   * The path with a version in place of `served`: the server's preferred one of those that have the
   * kind. Undefined where the kind is not installed.
   */
  async served(path: string): Promise<string | undefined> {
    const [, group = '', plural = ''] =
      /^\/apis\/([^/]+)\/served\/namespaces\/[^/]+\/([^/]+)/.exec(path) ?? [];
    if (!group) return path;
    // In the order of preference.
    const { versions } = await this.ask<{ versions: { version: string }[] }>(`/apis/${group}`);
    for (const { version } of versions) {
      const api = `/apis/${group}/${version}`;
      const { resources } = await this.ask<{ resources: { name: string }[] }>(api);
      if (resources.some(({ name }) => name === plural)) {
        return path.replace(`/apis/${group}/served`, api);
      }
    }
    return undefined;
  }

  /** What the server says about itself, remembered for a while. */
  private ask<T>(path: string): Promise<T> {
    const known = this.known.get(path);
    if (known && Date.now() - known.at < rememberedForMs) return known.answer as Promise<T>;
    const answer = this.cluster.get<T>(path);
    this.known.set(path, { at: Date.now(), answer });
    answer.catch(() => this.known.delete(path));
    return answer;
  }
}
