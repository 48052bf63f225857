/** Manifests as a team would keep them in git. */

interface Wanted {
  replicas?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  /** Fields of the Deployment's spec beside replicas, selector and template. */
  spec?: object;
  /** Fields of the one container beside name and image. */
  container?: object;
  /** Fields of the pod beside its containers. */
  pod?: object;
}

/** A Deployment of one container; two replicas unless said otherwise. */
export function deploymentManifest(
  name: string,
  image: string,
  { replicas = 2, labels = {}, annotations = {}, spec, container, pod }: Wanted = {},
): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels: { app: name, ...labels }, annotations },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      ...spec,
      template: {
        metadata: { labels: { app: name } },
        spec: { ...pod, containers: [{ name: 'api', image, ...container }] },
      },
    },
  };
}
