/** What the last `kubectl apply` has recorded on an object, which no rollback changes. */
import { type KubernetesObject, readAnnotation } from './objects.ts';

export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** The manifest that was applied last; undefined where none was, or it cannot be read. */
export function lastApplied<T>(object: KubernetesObject): T | undefined {
  return readAnnotation<T>(object, lastAppliedAnnotation);
}

/** That the manifest stays as it is, and what applying it again does. */
export function staysRecorded(consequence: string): string {
  return `The manifest of the last kubectl apply stays recorded: applying it again ${consequence}.`;
}

/** For a workload that was applied: that its manifest has the version that is left. */
export function versionStaysRecorded({ metadata }: KubernetesObject): string[] {
  if (!metadata?.annotations?.[lastAppliedAnnotation]) return [];
  return [staysRecorded('brings the version back that is rolled back now')];
}
