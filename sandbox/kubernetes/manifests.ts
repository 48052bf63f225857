/** Manifests of what is rolled back when the project is tried: tests, chaos, benchmark. */

/** A Deployment `NAME-COLOUR` whose pods are one colour of the Service NAME. */
export function colourManifest(
  name: string,
  colour: string,
  image: string,
  { replicas = 2, label = 'version' }: { replicas?: number; label?: string } = {},
): object {
  const labels = { app: name, [label]: colour };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: `${name}-${colour}` },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'api', image }] } },
    },
  };
}

/** A Service with one port that selects these labels. */
export function serviceManifest(name: string, selector: Record<string, string>): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector, ports: [{ port: 80 }] },
  };
}
