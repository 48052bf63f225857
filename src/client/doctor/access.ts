/** What whoever asks may do in a cluster. */
import type { Cluster } from '../../activities/kubernetes/api.ts';

/** A right as an access review takes it. */
export interface Right {
  verb: string;
  group: string | undefined;
  resource: string;
  subresource?: string;
}

/** Those of the rights that the namespace does not grant, such as `get pods/log`. */
export async function refusedRights(
  cluster: Cluster,
  namespace: string,
  rights: readonly Right[],
): Promise<string[]> {
  const refused = await Promise.all(
    rights.map(async (right) => {
      const { status } = await cluster.create<{ status?: { allowed?: boolean } }>(
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        { spec: { resourceAttributes: { namespace, ...right } } },
      );
      const kind = [right.resource, right.subresource].filter(Boolean).join('/');
      return status?.allowed ? [] : [`${right.verb} ${kind}`];
    }),
  );
  return refused.flat();
}
