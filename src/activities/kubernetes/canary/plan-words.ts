/** What a plan for a canary tells people, in sentences. */
import type { Change } from '../../../contract/plan.ts';
import { abortChangeKind } from '../../argo-rollouts/abort-change.ts';
import { type DestinationRule, isOfCanaryAlone } from '../../istio/destination-rule.ts';
import type { Autoscaler } from '../deployment/replicas.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { kindAndName } from '../objects.ts';
import type { Asked, TurnedRouter } from './find-canary.ts';
import type { Mesh } from './mesh.ts';
import type { Sides } from './sides.ts';

/** What belongs to a canary, as it stands. */
export interface Canary {
  mesh: Mesh;
  asked: Asked;
  sides: Sides;
  turned: TurnedRouter[];
  deployments: Deployment[];
  autoscalers: Map<string, Autoscaler>;
  /** Why Deployments keep their pods, each a sentence. */
  needed: string[];
  /** Rules that name it, also beside others. */
  rules: DestinationRule[];
}

/** What a run does with the canary. */
export function summaryOf({ mesh, asked, sides, turned }: Canary, changes: Change[]): string {
  const of = (kind: string) =>
    changes
      .filter((change) => change.kind.endsWith(kind))
      .map(({ target }) => kindAndName(target.kind, { metadata: target }))
      .join(', ');
  const [scaled, deleted] = [of('/replicas'), of('/delete')];
  const parts = [
    turned.length > 0 && `its traffic goes to ${sides.stable.join(', ') || 'nobody'}`,
    scaled && `${scaled} is scaled to zero`,
    deleted && `deleted at the end: ${deleted}`,
  ].filter(Boolean);
  return `The canary of ${asked.service} in ${mesh.namespace} (${sides.canary.join(', ')}) is taken out: ${parts.join('; ')}.`;
}

/** What changes, line by line. */
export function differencesOf({ turned }: Canary, changes: Change[]): string[] {
  const named = ({ target }: Change) => kindAndName(target.kind, { metadata: target });
  return [
    ...turned.flatMap(({ lines }) => lines),
    ...changes
      .filter(({ kind }) => kind === abortChangeKind)
      .map((change) => `${named(change)}: update aborted`),
    ...changes
      .filter(({ kind }) => kind === 'deployment/replicas')
      .map((change) => `${named(change)}: replicas ${change.before.replicas} -> 0`),
    ...changes
      .filter(({ kind }) => kind.endsWith('/delete'))
      .map((change) => `${named(change)}: deleted`),
  ];
}

/** What stays, and what cannot be taken back. */
export function statements(
  { sides, deployments, rules, needed }: Canary,
  changes: Change[],
  isOwned: (object: Deployment | DestinationRule) => boolean,
): string[] {
  const lines = [...needed];
  const isDeleted = (uid: string | undefined) =>
    changes.some(({ kind, target }) => kind.endsWith('/delete') && target.uid === uid);
  if (changes.some(({ kind }) => kind.endsWith('/delete'))) {
    lines.push(
      'What is deleted comes back by its manifest only. It is deleted once the checks of the service are green; --keep leaves it.',
    );
  }
  if (deployments.length === 0 && needed.length === 0) {
    lines.push('No Deployment makes pods for the canary alone, so none is scaled or deleted.');
  }
  for (const rule of rules.filter(({ metadata }) => !isDeleted(metadata?.uid))) {
    const name = kindAndName('destinationrule', rule);
    if (isOwned(rule)) lines.push(`${name} belongs to another object, and stays.`);
    else if (!isOfCanaryAlone(rule, sides.canary)) {
      lines.push(`${name} is about others as well, and stays with the subset of the canary in it.`);
    }
  }
  for (const deployment of deployments.filter(isOwned)) {
    lines.push(
      `${kindAndName('deployment', deployment)} belongs to another tool: it is not deleted.`,
    );
  }
  return lines;
}

/** Why there is nothing to take out. */
export function gone({ mesh, asked, sides, deployments, rules, needed }: Canary): string {
  const left = [
    ...rules.map((rule) => kindAndName('destinationrule', rule)),
    ...deployments.map((deployment) => kindAndName('deployment', deployment)),
  ];
  const stays = left.length > 0 ? ` (${left.join(', ')} stays)` : '';
  return [
    `The canary of ${asked.service} in ${mesh.namespace} (${sides.canary.join(', ')}) gets no traffic, and there is nothing of it to take out${stays}.`,
    ...needed,
  ].join(' ');
}
