import { join } from 'node:path';

/** The kubeconfig of a sandbox with two regions. */
export function regionalKubeconfig(dir: string): string {
  return join(dir, 'kubeconfig-regions');
}

/** The settings of a sandbox with two regions. */
export function regionalSettings(dir: string): string {
  return join(dir, 'rollback-regions.yaml');
}
