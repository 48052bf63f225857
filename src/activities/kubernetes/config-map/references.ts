import type { PodTemplate } from '../templates.ts';

/** How a pod gets what is in a ConfigMap: read once at its start, or kept up to date in files. */
export type Reading = 'environment' | 'files';

/** The ConfigMaps that a pod template refers to, by name and in order; one read both ways is `environment`. */
export function configMapsOf(template: PodTemplate | undefined): Map<string, Reading> {
  const spec = template?.spec;
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const environment = [
    ...containers.flatMap(({ envFrom = [] }) => envFrom.map((source) => source.configMapRef?.name)),
    ...containers.flatMap(({ env = [] }) =>
      env.map(({ valueFrom }) => valueFrom?.configMapKeyRef?.name),
    ),
  ];
  const files = (spec?.volumes ?? []).flatMap(({ configMap, projected }) => [
    configMap?.name,
    ...(projected?.sources ?? []).map((source) => source.configMap?.name),
  ]);
  const readings = new Map<string, Reading>();
  for (const name of files) if (name !== undefined) readings.set(name, 'files');
  for (const name of environment) if (name !== undefined) readings.set(name, 'environment');
  return new Map([...readings].sort(([one], [other]) => (one < other ? -1 : 1)));
}
