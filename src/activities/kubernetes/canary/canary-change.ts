/** The changes of a canary's rollback. All name the destinations that are concerned, apart by spaces. */
import type { Change, Mandate, Reference } from '../../../contract/plan.ts';
import type { DeletionChange } from '../deployment/delete-deployment.ts';
import type { ReplicasChange } from '../deployment/replicas.ts';
import type { Fields } from '../fields.ts';
import type { Sides } from './sides.ts';

type Concerned = { canary: string; stable: string };

/** Fields of a router's routes, by JSON pointer: weights, who is meant, and parts that are copied. */
export interface RoutesChange extends Change<Concerned & Fields, Concerned & Fields> {
  kind: 'virtualservice/routes' | 'httproute/routes';
}
export type RoutesMandate = Mandate<RoutesChange>;

/** The Deployment of the canary goes to zero. */
export interface CanaryReplicasChange extends ReplicasChange {
  before: ReplicasChange['before'] & Concerned;
  after: ReplicasChange['after'] & Concerned;
}
export type CanaryReplicasMandate = Mandate<CanaryReplicasChange>;

/** The Deployment of the canary is deleted, which cannot be taken back. */
export interface CanaryDeletionChange extends DeletionChange {
  before: DeletionChange['before'] & Concerned;
  after: DeletionChange['after'] & Concerned;
}
export type CanaryDeletionMandate = Mandate<CanaryDeletionChange>;

/** A DestinationRule is deleted, which cannot be taken back; `rule` is the SHA-256 of its spec. */
export interface RuleDeletionChange extends Change<
  Concerned & { rule: string },
  Concerned & { rule: null }
> {
  kind: 'destinationrule/delete';
}
export type RuleDeletionMandate = Mandate<RuleDeletionChange>;

/** The sides as a change names them. */
export function concernedOf({ canary, stable }: Sides): Concerned {
  return { canary: canary.join(' '), stable: stable.join(' ') };
}

/** The sides that a change names. */
export function sidesOf({ before }: Change<Reference & Concerned>): Sides {
  const list = (text: string) => text.split(' ').filter(Boolean);
  return { canary: list(before.canary), stable: list(before.stable) };
}

/** Only the fields of a reference. */
export function fieldsOf(reference: Reference): Fields {
  return Object.fromEntries(Object.entries(reference).filter(([key]) => key.startsWith('/')));
}
