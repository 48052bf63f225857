import { hashOf } from '../../../contract/digest.ts';
import type { Cluster, ListOf } from '../api.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { objectPath } from '../objects.ts';
import { versionDigest } from '../templates.ts';
import { labelsOf } from './service.ts';

/** Deployments of a namespace. */
export async function readDeployments(cluster: Cluster, namespace: string): Promise<Deployment[]> {
  const { items } = await cluster.get<ListOf<Deployment>>(objectPath('deployment', namespace));
  return items;
}

/** Those whose pods a Service with this selector would send traffic to, by the labels of their template. */
export function carriersOf(deployments: readonly Deployment[], selector: string): Deployment[] {
  const wanted = Object.entries(labelsOf(selector));
  if (wanted.length === 0) return [];
  return deployments.filter(({ spec }) => {
    const labels = spec?.template.metadata?.labels ?? {};
    return wanted.every(([key, value]) => labels[key] === value);
  });
}

/** Tells what these Deployments run from what they ran before; a restart makes no difference. */
export function versionOf(carriers: readonly Deployment[]): string {
  const digests = carriers.map(({ spec }) => versionDigest(spec?.template));
  return hashOf(digests.sort());
}
