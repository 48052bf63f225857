/** The changes of a canary's rollback. All name the destinations that are concerned, apart by spaces. */
import type { Change, Mandate, Reference } from '../../../contract/plan.ts';
import type { Fields } from '../fields.ts';
import type { Sides } from './sides.ts';

type Concerned = { canary: string; stable: string };

/** Fields of a router's routes, by JSON pointer: weights, who is meant, and parts that are copied. */
export interface RoutesChange extends Change<Concerned & Fields, Concerned & Fields> {
  kind: 'virtualservice/routes' | 'httproute/routes';
}
export type RoutesMandate = Mandate<RoutesChange>;

type Running = Concerned & { running: boolean };

/** A Deployment goes to zero; how many replicas it had stays noted on it. */
export interface ScaleChange extends Change<Running, Running> {
  kind: 'deployment/replicas';
}
export type ScaleMandate = Mandate<ScaleChange>;

/** SHA-256 of what makes the object what it is; null once it is gone. */
type Content = Concerned & { content: string | null };

/** An object is deleted, which cannot be taken back. */
export interface RemovalChange extends Change<Content, Content> {
  kind: 'deployment/removal' | 'destinationrule/removal';
}
export type RemovalMandate = Mandate<RemovalChange>;

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
