/** Argo CD's ApplicationSet, which puts back whatever is changed on the Applications that it makes. */
import { hashOf } from '../../contract/digest.ts';
import { annotationPointer, type KubernetesObject, markAnnotation } from '../kubernetes/objects.ts';
import { heldAnnotation, heldLabelPointer } from '../owners/held.ts';
import type { Policy } from '../owners/policy.ts';

interface Ignored {
  name?: string;
  jsonPointers?: string[];
  jqPathExpressions?: string[];
}

export interface ApplicationSet extends KubernetesObject {
  spec?: {
    ignoreApplicationDifferences?: Ignored[];
    syncPolicy?: { applicationsSync?: string };
  };
}

/** What a hold writes on an Application, and its ApplicationSet must leave there. */
const ours: Ignored = {
  jsonPointers: [
    '/spec/syncPolicy/automated',
    annotationPointer(heldAnnotation),
    annotationPointer(markAnnotation),
    heldLabelPointer,
  ],
};

/**
 * Argo CD's documented way to let auto-sync be toggled on generated Applications; their annotations,
 * which it also puts back, are named besides. Everything else it goes on doing.
 */
export const applicationSetPolicy: Policy = {
  field: 'ignoreApplicationDifferences',
  path: ['spec', 'ignoreApplicationDifferences'],
  isHeld: (value) => listOf(value).some(isOurs),
  held: (value) => [...listOf(value), ours],
  released(value, was) {
    const rest = listOf(value).filter((entry) => !isOurs(entry));
    // What somebody else has added to the list or taken from it meanwhile stays so.
    return hashOf(rest) === hashOf(listOf(was)) ? was : rest;
  },
};

/** Whether it changes Applications once it has made them. */
export function updatesApplications({ spec }: ApplicationSet): boolean {
  const policy = spec?.syncPolicy?.applicationsSync ?? 'sync';
  return policy === 'sync' || policy === 'create-update';
}

function listOf(value: unknown): Ignored[] {
  return Array.isArray(value) ? (value as Ignored[]) : [];
}

function isOurs(entry: Ignored): boolean {
  return hashOf(entry) === hashOf(ours);
}
