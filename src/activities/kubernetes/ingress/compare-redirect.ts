import { hashOf } from '../../../contract/digest.ts';
import type { Clusters } from '../api.ts';
import type { Comparison } from '../deployment/compare-revisions.ts';
import { objectPath } from '../objects.ts';
import type { ExtraMandate } from './extra-ingress.ts';
import { type BackendsMandate, type Ingress, partOf, redirectedOf, servicesOf } from './ingress.ts';
import { servingOf } from './maintenance.ts';

/**
 * Whether traffic may go back by itself to where it went before the redirect: only where the Services
 * there have ready endpoints and the maintenance Service has none any more.
 */
export async function compareRedirect(
  clusters: Clusters,
  { change }: BackendsMandate | ExtraMandate,
): Promise<Comparison> {
  const { target, before, after } = change;
  const cluster = clusters.of(target.context);
  const { namespace } = target;
  const ingress = await cluster.find<Ingress>(objectPath('ingress', namespace, target.name));
  const isUntouched =
    !ingress || ('backends' in before && hashOf(partOf(ingress, before.host)) === before.backends);
  if (isUntouched) {
    const text = 'nothing to take back: the traffic was not redirected';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const noted = redirectedOf(ingress)[before.host];
  const services = noted ? servicesOf(noted.before) : [];
  const [serving, maintained] = await Promise.all([
    servingOf(cluster, namespace, services),
    servingOf(cluster, namespace, after.service === null ? [] : [after.service]),
  ]);
  return {
    beforeIsHealthier: serving.length > 0 && maintained.length === 0,
    nothingToUndo: false,
    text: `of ${services.join(', ') || 'no Service'} before ${serving.length} serve; the maintenance Service ${maintained.length > 0 ? 'serves' : 'does not serve'}`,
  };
}
