import { findService } from '../../../config/services.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import { digestPlan } from '../../../contract/digest.ts';
import { durationMs } from '../../../contract/duration.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Change, Plan, Target } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { findOwners, lookAhead, ofKind, type Owners } from '../../owners/find-owners.ts';
import { OwnerLookup } from '../../owners/lookup.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import type { Clusters } from '../api.ts';
import { rolledBackBy } from '../deployment/annotations.ts';
import { byDeployment, type ReplicasChange } from '../deployment/replicas.ts';
import { lastApplied, staysRecorded } from '../last-applied.ts';
import { missing } from '../missing.ts';
import { kindAndName, targetOf } from '../objects.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { readDeployments } from '../service/carriers.ts';
import {
  readService,
  type SelectorChange,
  selectorText,
  type Service,
} from '../service/service.ts';
import { standingSwitch } from '../service/switched.ts';
import { templateDifferences } from '../template-differences.ts';
import { imagesOf } from '../templates.ts';
import { chooseColour } from './choose-colour.ts';
import { type Colour, coloursOf } from './colours.ts';
import { type Found, planLeft, planOther } from './plan-replicas.ts';

/**
 * Plans R6: which colour has the traffic and which gets it, from the Service's selector and the labels
 * of Deployments, how many pods that needs, and what becomes of the colour that is left. Reads only;
 * needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planBlueGreenRollback(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'blue-green'>,
): Promise<Plan> {
  const cluster = clusters.of(input.context);
  const namespace = input.namespace ?? settings.kubernetes.namespace;
  const name = input.service;
  const [serviceName, known] = findService(settings, { kind: 'service', namespace, name });
  const lookup = new OwnerLookup(clusters, cluster, settings);
  const [service, deployments, [autoscalers]] = await Promise.all([
    readService(cluster, namespace, name),
    readDeployments(cluster, namespace),
    lookAhead(lookup, namespace),
  ]);
  if (!service) throw refused(await missing(cluster, 'service', namespace, name));
  const label = input.label ?? known?.blueGreen?.label ?? 'version';
  const colours = coloursOf(service, deployments, label);
  if (!colours) throw refused(noColours(service, label));

  const standing = standingSwitch(service, deployments);
  const wanted = chooseColour(colours, {
    ...{ service: `${name} in ${namespace}`, label, standing },
    to: input.to ?? known?.blueGreen?.to,
  });
  const found: Found = {
    ...{ cluster, namespace, service, live: colours.live },
    autoscalers: byDeployment(autoscalers),
  };
  const target = targetOf('service', cluster, service);
  if (wanted === colours.live) {
    const left = colours.others.find(({ selector }) => selector === standing?.from);
    const done = standing
      ? `: ${rolledBackBy(standing)} switched it from ${standing.from} at ${standing.at}; name a colour to go elsewhere`
      : ': nothing to do';
    const rest = input.delete && left ? await planRest(found, left, standing?.versions.from) : [];
    const owners =
      rest.length > 0 ? await ownersOf(lookup, service, left?.deployments ?? []) : none;
    const changes = [...rest, ...owners.changes];
    return digestPlan({
      ...{ procedure: 'blue-green', targets: targetsOf(target, changes), changes },
      summary: `Service ${name} in ${namespace} already sends its traffic to ${wanted.selector}${rest.length > 0 ? `; ${deletes(rest)}` : done}.`,
      ...{
        differences: [],
        warnings: rest.length > 0 ? [...owners.warnings, noWayBack] : [],
        checks: [],
      },
      estimateSeconds: rest.length > 0 ? 2 : 0,
    });
  }

  const [owners, left] = await Promise.all([
    ownersOf(lookup, service, [...wanted.deployments, ...colours.live.deployments]),
    planLeft(found, {
      soakMs: input.soak === undefined ? (known?.blueGreen?.soak ?? 0) : durationMs(input.soak),
      isDeleted: input.delete,
    }),
  ]);
  if (owners.refusal) throw refused(owners.refusal);
  const other = planOther(found, wanted);
  const selector: SelectorChange = {
    ...{ id: 'switch', kind: 'service/selector', target },
    before: { selector: selectorText(service.spec?.selector) },
    after: { selector: wanted.selector },
  };
  const changes: Change[] = [other.change, selector, ...left.changes, ...owners.changes];
  return digestPlan({
    procedure: 'blue-green',
    targets: targetsOf(target, changes),
    changes,
    summary: `Service ${name} in ${namespace} goes from ${label}=${colours.live.value} (${imagesIn(colours.live)}) to ${label}=${wanted.value} (${imagesIn(wanted)})${left.words}.`,
    differences: [...scaling(other.change), ...differencesOf(label, colours.live, wanted)],
    warnings: [
      ...owners.warnings,
      ...other.warnings,
      ...left.warnings,
      ...recordedElsewhere(service, wanted),
      ...(input.delete ? [noWayBack] : []),
    ],
    checks: plannedChecks(serviceName, known, 'switch'),
    estimateSeconds: other.seconds + left.seconds + 2,
  });
}

const none: Owners = { warnings: [], changes: [], targets: [] };

function ownersOf(
  lookup: OwnerLookup,
  service: Service,
  deployments: readonly Deployment[],
): Promise<Owners> {
  return findOwners(
    lookup,
    ofKind('v1', 'Service', service),
    ...deployments.map((deployment) => ofKind('apps/v1', 'Deployment', deployment)),
  );
}

const noWayBack =
  'A deleted Deployment cannot be brought back by this run: its manifest and its history go. Have the manifest at hand.';

/** What a run that was told to delete has still to do after an earlier one has switched. */
async function planRest(
  found: Found,
  left: Colour,
  version: string | undefined,
): Promise<Change[]> {
  const { changes } = await planLeft(
    { ...found, live: left },
    { soakMs: 0, isDeleted: true, version },
  );
  return changes;
}

function deletes(changes: Change[]): string {
  return `Deployment ${changes[0]?.target.name}, which was left, is deleted`;
}

function targetsOf(service: Target, changes: Change[]): Target[] {
  if (changes.length === 0) return [];
  const all = new Map(changes.map(({ target }) => [target.uid, target]));
  return [...all.set(service.uid, service).values()];
}

function imagesIn({ deployments }: Colour): string {
  const images = deployments.flatMap(({ spec }) => imagesOf(spec?.template));
  return [...new Set(images)].join(', ') || 'no Deployment';
}

function differencesOf(label: string, live: Colour, wanted: Colour): string[] {
  const [[from], [to]] = [live.deployments, wanted.deployments];
  if (!from?.spec || !to?.spec) return [];
  // Of other labels only their places are told; of this one the plan tells the value anyway.
  const place = `metadata.labels.${label}: `;
  return templateDifferences(from.spec.template, to.spec.template).map((line) =>
    line === `${place}changed` ? `${place}${live.value} -> ${wanted.value}` : line,
  );
}

function scaling({ target, before, after }: ReplicasChange): string[] {
  if (after.replicas === before.replicas) return [];
  const name = kindAndName(target.kind, { metadata: target });
  return [`${name}: replicas ${before.replicas} -> ${after.replicas}`];
}

/** That the next `kubectl apply` of the Service would take its traffic away from the wanted colour. */
function recordedElsewhere(service: Service, { selector }: Colour): string[] {
  const recorded = selectorText(lastApplied<Service>(service)?.spec?.selector);
  if (recorded === '' || recorded === selector) return [];
  return [staysRecorded(`sends the traffic of Service ${service.metadata?.name} to ${recorded}`)];
}

function noColours({ metadata, spec }: Service, label: string): string {
  const what = `Service ${metadata?.name} in ${metadata?.namespace}`;
  const selector = selectorText(spec?.selector);
  if (selector === '' || spec?.type === 'ExternalName') {
    return `${what} has no selector, so its traffic cannot be switched here: change where it points to by hand.`;
  }
  return `${what} selects ${selector}, which has no label ${label}: name the one that tells its colours apart with --label, or as blueGreen.label in the settings.`;
}
