/** What whoever asks may do in a cluster. */
import type { Cluster } from './api.ts';

/** A right as an access review takes it. */
export interface Right {
  verb: string;
  group: string | undefined;
  resource: string;
  subresource?: string;
  /** The one object that it is about; a role may grant it for that one alone. */
  name?: string;
}

/** Those of the rights that the namespace does not grant. */
export async function refusedRights(
  cluster: Cluster,
  namespace: string,
  rights: readonly Right[],
): Promise<Right[]> {
  const refused = await Promise.all(
    rights.map(async (right) => {
      const { status } = await cluster.create<{ status?: { allowed?: boolean } }>(
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        { spec: { resourceAttributes: { namespace, ...right } } },
      );
      return status?.allowed ? [] : [right];
    }),
  );
  return refused.flat();
}

/** A right as people name it: `get pods/log`. */
export function rightInWords({ verb, resource, subresource }: Right): string {
  return `${verb} ${[resource, subresource].filter(Boolean).join('/')}`;
}
