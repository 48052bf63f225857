import { spawn } from 'node:child_process';
import type { Environment } from '../sandbox.ts';
import { deployment } from './deployment.ts';

/**
 * Runs the CLI as a person would, on this terminal; returns the workflow's id. Throws when the
 * rollback did not end well.
 */
export async function runRollback(variables: Environment, signal: AbortSignal): Promise<string> {
  const id = `rollback-deployment-${deployment}-demo-${Date.now()}`;
  const reason = 'error rate of 30 % since 2.0.0-bad';
  const args = ['deployment', deployment, '--reason', reason, '--id', id];
  const child = spawn('rollback', args, {
    env: { ...process.env, ...variables },
    stdio: 'inherit',
    signal,
  });
  const code = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, killed) => resolve(status ?? killed));
  });
  if (code !== 0) {
    throw new Error(
      `\`rollback deployment ${deployment}\` ended with ${code}; its run is ` +
        `${runAddress(variables, id)} while the sandbox is up (\`npm run demo -- --keep\`).`,
    );
  }
  return id;
}

/** Where the Temporal UI shows a run. */
export function runAddress(variables: Environment, id: string): string {
  const { TEMPORAL_UI_URL: ui, TEMPORAL_NAMESPACE: namespace } = variables;
  return `${ui}/namespaces/${namespace}/workflows/${id}`;
}
