import type { KubernetesObject } from '../kubernetes/objects.ts';
import type { OwnerLookup, Owner } from '../owners/lookup.ts';
import { type ApplicationSet, updatesApplications } from './application-set.ts';
import { type Application, syncUnderWay, trackingOf, tracks } from './application.ts';

/** The Application that syncs the object; none where it says of none, or of one that is not there. */
export async function findApplication(
  lookup: OwnerLookup,
  object: KubernetesObject,
): Promise<Owner[]> {
  const { namespace } = lookup.settings.owners.argoCd;
  const tracking = trackingOf(object, namespace);
  if (!tracking) return [];
  const { name, isGuess } = tracking;
  const cluster = lookup.argoCluster;
  const find = (where: string) =>
    lookup.find<Application>(cluster, 'application', where, name, {
      byHand: `argocd app set ${name} --sync-policy none`,
      isGuess,
    });
  let application = await find(tracking.namespace);
  if (!application && !isGuess && object.metadata?.namespace) {
    // An instance of Argo CD may have its applications beside what they deploy.
    application = await find(object.metadata.namespace);
  }
  if (!application) {
    if (!isGuess) lookup.warn(missing(name, tracking.namespace));
    return [];
  }
  if (isGuess && !tracks(application, object)) return [];
  const words = syncUnderWay(application);
  if (words !== undefined) lookup.warn(words);
  return [{ kind: 'application', object: application, cluster }];
}

/** The ApplicationSet that has made the Application, unless it leaves that alone from then on. */
export async function findApplicationSet(
  lookup: OwnerLookup,
  { metadata }: KubernetesObject,
): Promise<Owner[]> {
  const { namespace = '', ownerReferences = [] } = metadata ?? {};
  const maker = ownerReferences.find(({ kind }) => kind === 'ApplicationSet');
  if (!maker) return [];
  const cluster = lookup.argoCluster;
  const object = await lookup.find<ApplicationSet>(
    ...([cluster, 'applicationset', namespace, maker.name] as const),
    { byHand: 'add /spec/syncPolicy to its ignoreApplicationDifferences' },
  );
  return object && updatesApplications(object) ? [{ kind: 'applicationset', object, cluster }] : [];
}

function missing(name: string, namespace: string): string {
  return `Argo CD owns this (application ${name}), and there is no such application in namespace ${namespace}: where it is elsewhere, say so in the settings (owners.argoCd). With self-heal on it puts the version from git back within minutes: turn auto-sync off first (argocd app set ${name} --sync-policy none), and revert in git.`;
}
