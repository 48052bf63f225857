import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Environment } from '../sandbox.ts';

const run = promisify(execFile);

/** The Deployment that the demo breaks and puts back. */
export const deployment = 'wakala-api';

const goodVersion = '1.0.0';

/** Brings a version of Wakala out, with a note for the rollout history, and waits for its pods. */
export async function release(variables: Environment, version: string, note: string) {
  const target = `deployment/${deployment}`;
  await kubectl(variables, ['set', 'image', target, `*=wakala/api:${version}`]);
  await kubectl(variables, [
    'annotate',
    target,
    `kubernetes.io/change-cause=${note}`,
    '--overwrite',
  ]);
  await kubectl(variables, ['rollout', 'status', target, '--timeout=40s']);
}

/** Makes sure that the good version runs, whatever an earlier demo left; says which it is. */
export async function ensureGoodVersion(variables: Environment): Promise<string> {
  if ((await runningVersion(variables)) !== goodVersion) {
    await release(variables, goodVersion, `back to ${goodVersion}, for the demo`);
  }
  return goodVersion;
}

/** The version that the Deployment asks for. */
export async function runningVersion(variables: Environment): Promise<string> {
  const path = 'jsonpath={.spec.template.spec.containers[0].image}';
  const image = await kubectl(variables, ['get', 'deployment', deployment, '--output', path]);
  return image.trim().replace(/^.*:/, '');
}

async function kubectl(variables: Environment, args: string[]): Promise<string> {
  const env = { ...process.env, ...variables };
  const { stdout } = await run('kubectl', ['--namespace=production', ...args], { env });
  return stdout;
}
