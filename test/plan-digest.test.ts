import { describe, expect, test } from '@jest/globals';
import { hashOf, planDigest, digestPlan } from '../src/contract/digest.ts';
import type { Change, DraftPlan, Target } from '../src/contract/plan.ts';

const target: Target = {
  kind: 'deployment',
  context: 'prod',
  namespace: 'production',
  name: 'wakala-api',
  uid: 'a53e',
};
const change: Change = {
  id: 'deployment',
  kind: 'deployment/template',
  target,
  before: { revision: 2, replicaSet: 'rs-2', template: 'f00d', paused: false },
  after: { revision: 1, replicaSet: 'rs-1', template: 'beef', paused: false, surge: true },
};
const draft: DraftPlan = {
  procedure: 'deployment',
  targets: [target],
  changes: [change],
  summary: 'wakala-api goes back.',
  differences: ['~ image'],
  warnings: ['ConfigMaps stay.'],
  checks: [{ service: 'wakala-api', check: 'health' }],
  estimateSeconds: 4,
};
const { digest } = digestPlan(draft);
const other: Target = { ...target, name: 'other', uid: 'b64f' };

/** The same value with the keys of every object in the reverse order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, each]) => [key, reversed(each)]),
  );
}

describe('the digest that people agree to stays', () => {
  test('however a server or a language orders the keys of an object', () => {
    const other = reversed(draft) as DraftPlan;
    expect(JSON.stringify(other)).not.toBe(JSON.stringify(draft));
    expect(digestPlan(other).digest).toBe(digest);
  });

  test('after a journey as JSON', () => {
    expect(digestPlan(JSON.parse(JSON.stringify(draft)) as DraftPlan).digest).toBe(digest);
  });

  test('whatever the order in which targets were found', () => {
    const hashes = [hashOf(change)];
    expect(planDigest([target, other], hashes)).toBe(planDigest([other, target], hashes));
  });

  test.each<[string, Partial<DraftPlan>]>([
    ['summary', { summary: 'Other words.' }],
    ['differences', { differences: [] }],
    ['warnings', { warnings: ['Argo CD owns it.'] }],
    ['estimate', { estimateSeconds: 90 }],
  ])('where only the text for people changes: %s', (_, text) => {
    expect(digestPlan({ ...draft, ...text }).digest).toBe(digest);
  });
});

describe('the digest is another', () => {
  const edits: [string, Change][] = [
    ['id', { ...change, id: 'other' }],
    ['kind', { ...change, kind: 'deployment/scale' }],
    ...Object.keys(target).map((field): [string, Change] => [
      `target.${field}`,
      { ...change, target: { ...target, [field]: 'changed' } },
    ]),
    ...(['before', 'after'] as const).flatMap((end) =>
      Object.keys(change[end]).map((field): [string, Change] => [
        `${end}.${field}`,
        { ...change, [end]: { ...change[end], [field]: 'changed' } },
      ]),
    ),
    ['a field that was not there', { ...change, after: { ...change.after, replicas: 100 } }],
  ];

  test.each(edits)('where a change has another %s', (_, edited) => {
    expect(digestPlan({ ...draft, changes: [edited] }).digest).not.toBe(digest);
  });

  test.each(['namespace', 'name', 'uid', 'kind'])('where a target has another %s', (field) => {
    const targets = [{ ...target, [field]: 'changed' }];
    expect(digestPlan({ ...draft, targets }).digest).not.toBe(digest);
  });

  test('where a target or a change comes or goes, or changes come in another order', () => {
    const second = { ...change, id: 'second' };
    const digests = [[change], [], [change, second], [second, change], [change, change]].map(
      (changes) => digestPlan({ ...draft, changes }).digest,
    );
    digests.push(
      digestPlan({ ...draft, targets: [target, other] }).digest,
      digestPlan({ ...draft, targets: [] }).digest,
    );
    expect(new Set(digests).size).toBe(digests.length);
  });
});

test('whoever has one change and the list of hashes can tell that it belongs to the plan', () => {
  const plan = digestPlan({ ...draft, changes: [change, { ...change, id: 'second' }] });
  expect(plan.changeHashes).toContain(hashOf(reversed(change)));
  expect(planDigest(plan.targets, plan.changeHashes)).toBe(plan.digest);
});
