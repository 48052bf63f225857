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

/** A Deployment of two pods that take their environment from a ConfigMap. */
export function consumerManifest(name: string, configMap: string): object {
  const labels = { app: name };
  const envFrom = [{ configMapRef: { name: configMap } }];
  const containers = [{ name: 'api', image: 'wakala/api:1.0.0', envFrom }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    },
  };
}

/** An Ingress that sends a host to port 80 of a Service. */
export function ingressManifest(name: string, host: string, service: string): object {
  const backend = { service: { name: service, port: { number: 80 } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name },
    spec: { rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }] },
  };
}

export interface StatefulSetWanted {
  replicas?: number;
  /** Fields of the StatefulSet's spec beside replicas, selector and template. */
  spec?: object;
  /** Kind of the volume with the archives. */
  backup?: object;
}

/** A StatefulSet with state in /data and archives in /backup, and a Service of the same name. */
export function statefulSetManifests(
  name: string,
  image: string,
  { replicas = 2, spec, backup = { hostPath: { path: '/srv/backup' } } }: StatefulSetWanted = {},
): object[] {
  const selector = { app: name, version: 'stable' };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name },
      spec: {
        ...{ replicas, serviceName: name, selector: { matchLabels: { app: name } } },
        ...spec,
        template: {
          metadata: { labels: selector },
          spec: {
            containers: [
              {
                ...{ name: 'store', image },
                volumeMounts: [
                  { name: 'data', mountPath: '/data' },
                  { name: 'backup', mountPath: '/backup' },
                ],
              },
            ],
            volumes: [
              { name: 'data', hostPath: { path: '/srv/data' } },
              { name: 'backup', ...backup },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: { selector, ports: [{ port: 80 }] },
    },
  ];
}
