/** The kubeconfig, found as kubectl finds it. */
import { KubeConfig } from '@kubernetes/client-node';

/** The kubeconfig is missing, broken, or has no such context. */
export class KubeconfigError extends Error {}

/**
 * The kubeconfig with `context`, or its own current one, chosen.
 * @throws {KubeconfigError}
 */
export function loadKubeconfig(context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch (error) {
    throw new KubeconfigError(
      `The kubeconfig cannot be read (${(error as Error).message}): set KUBECONFIG to a valid file.`,
    );
  }
  const contexts = config.getContexts().map(({ name }) => name);
  if (context !== undefined) {
    if (!contexts.includes(context)) {
      throw new KubeconfigError(
        `The kubeconfig has no context "${context}": it has ${contexts.join(', ') || 'none'}.`,
      );
    }
    config.setCurrentContext(context);
  }
  // Without any kubeconfig the client falls back to http://localhost:8080, which is never meant.
  if (!config.getCurrentCluster() || config.getCurrentContext() === 'loaded-context') {
    throw new KubeconfigError(
      'There is no kubeconfig with a current context: set KUBECONFIG, or name a context.',
    );
  }
  return config;
}
