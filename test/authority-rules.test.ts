import { describe, expect, test } from '@jest/globals';
import { assess as assessWithCounts, type Approval } from '../src/authority/assess.ts';
import { needsOf } from '../src/authority/rules.ts';
import { authoritySchema, type AuthoritySettings } from '../src/config/authority.ts';
import type { Scope, SealClaims, StartAuthority } from '../src/contract/authority.ts';

/** Where the plan stands; who of the approvals counts is the tests' of decisions. */
const assess = (...given: Parameters<typeof assessWithCounts>) =>
  assessWithCounts(...given).assessment;

const runbook = authoritySchema.parse({});
const plannedAt = 1_000_000;

function settings(own: object): AuthoritySettings {
  return authoritySchema.parse(own);
}

function scope(kinds: string[], regions = ['eu']): Scope {
  return { regions, changes: kinds.map((kind) => ({ kind, target: `${kind}/production/wakala` })) };
}

/** What a plan of these kinds needs by the rules, as `2 team-lead`. */
function needed(kinds: string[], regions?: string[], rules = runbook): string[] {
  return needsOf(scope(kinds, regions), rules).map(
    ({ count, roles }) => `${count} ${roles.join(' or ')}`,
  );
}

function seal(start: StartAuthority, kinds = ['deployment/template']): SealClaims {
  return {
    ...{
      aud: 'default/run',
      run: 'run',
      digest: 'd',
      plan: 'p',
      execution: 'run',
      checks: [],
      start,
      scope: scope(kinds),
    },
    ...{ iat: plannedAt, executeBy: plannedAt + 3600 },
  };
}

const signed: StartAuthority = { kind: 'signed', by: 'olga', kid: 'k' };
const olga = { name: 'olga', roles: ['on-call'] };

function approval(name: string, ...roles: string[]): Approval {
  return { name, roles, at: plannedAt + 1, resumes: false };
}

describe('the runbook’s authority table, for settings without rules of their own', () => {
  test('asks the on-call engineer for nothing more', () => {
    expect(needed(['deployment/template'])).toEqual([]);
    expect(assess(seal(signed), olga, [], runbook)).toMatchObject({
      granted: true,
      requester: 'olga',
      missing: '',
    });
  });

  test.each([
    ...['schema/version', 'database/restore', 'database/swap', 'terraform/database'],
    ...['cloudformation/database', 'helm/migration', 'statefulset/state', 'cache/flush-all'],
  ])('asks a team lead for %s', (kind) => {
    expect(needed(['deployment/template', kind])).toEqual(['1 team-lead']);
  });

  test('leaves ending sessions and ordinary flushes to the on-call engineer', () => {
    expect(needed(['database/sessions', 'cache/flush', 'helm/release'])).toEqual([]);
  });

  test('asks the CTO for more than one region, and a lead as well where it is a database', () => {
    expect(needed(['deployment/template'], ['eu', 'us'])).toEqual(['1 cto']);
    expect(needed(['database/swap'], ['eu', 'us'])).toEqual(['1 team-lead', '1 cto']);
  });

  test('says which rule asks, and for what reason', () => {
    expect(needsOf(scope(['database/swap']), runbook)).toEqual([
      {
        ...{ rule: 'database changes', roles: ['team-lead'], count: 1 },
        why: 'it changes database/swap/production/wakala (database/swap)',
      },
    ]);
  });
});

test('a pattern means itself and no more', () => {
  const rules = settings({
    rules: [{ name: 'dots', when: { targets: ['a.b/*/c'] }, need: { cto: 1 } }],
  });
  const of = (target: string) =>
    needsOf({ regions: [], changes: [{ kind: 'any', target }] }, rules).length;
  expect([of('a.b/x/c'), of('a.b/x/y/c'), of('aXb/x/c'), of('a.b/x/cc'), of('xa.b/x/c')]).toEqual([
    ...[1, 1],
    ...[0, 0, 0],
  ]);
});

describe('a need is filled', () => {
  const twoLeads = settings({ rules: [{ name: 'both', need: { 'team-lead': 2 } }] });

  test('by as many people as it asks for, not by one of them twice', () => {
    const once = assess(seal(signed), olga, [approval('lea', 'team-lead')], twoLeads);
    expect(once).toMatchObject({
      granted: false,
      missing: expect.stringContaining('1 more team-lead'),
    });
    const twice = [approval('lea', 'team-lead'), approval('lea', 'team-lead')];
    expect(assess(seal(signed), olga, twice, twoLeads).granted).toBe(false);
    const both = [approval('lea', 'team-lead'), approval('ben', 'team-lead')];
    expect(assess(seal(signed), olga, both, twoLeads).granted).toBe(true);
  });

  test('never by whoever asked for the run, whatever roles they have', () => {
    const lead = { name: 'olga', roles: ['on-call', 'team-lead'] };
    const own = approval('olga', 'on-call', 'team-lead');
    const { granted, requester } = assess(seal(signed, ['schema/version']), lead, [own], runbook);
    expect({ granted, requester }).toEqual({ granted: false, requester: 'olga' });
  });

  test('by one person for one need only, also with the roles of two', () => {
    const both = settings({
      rules: [
        { name: 'lead', need: { 'team-lead': 1 } },
        { name: 'chief', need: { cto: 1 } },
      ],
    });
    const chief = approval('carl', 'team-lead', 'cto');
    expect(assess(seal(signed), olga, [chief], both).granted).toBe(false);
    // Carl was first and took the lead's place; for Lea he moves to the one that only he can fill.
    const found = assess(seal(signed), olga, [chief, approval('lea', 'team-lead')], both);
    expect(found.granted).toBe(true);
    expect(found.needs.map(({ by }) => by)).toEqual([['olga'], ['lea'], ['carl']]);
  });
});

describe('a start that nobody signed', () => {
  const unsigned: StartAuthority = { kind: 'unsigned', why: 'started unsigned' };

  test('is confirmed by the first on-call engineer, who then counts as having asked', () => {
    const lead = approval('lea', 'team-lead');
    expect(assess(seal(unsigned), undefined, [lead], runbook).granted).toBe(false);
    const found = assess(seal(unsigned), undefined, [lead, approval('olga', 'on-call')], runbook);
    expect(found).toMatchObject({ granted: true, requester: 'olga' });
  });

  test('needs two people where the plan needs another, even if one has both roles', () => {
    const both = approval('olga', 'on-call', 'team-lead');
    const database = seal(unsigned, ['schema/version']);
    expect(assess(database, undefined, [both], runbook).granted).toBe(false);
    const found = assess(database, undefined, [both, approval('lea', 'team-lead')], runbook);
    expect(found).toMatchObject({ granted: true, requester: 'olga' });
  });

  test('passes where settings trust the server, and only as long as they do', () => {
    const trusted = seal({ kind: 'trusted', text: 'jenkins' });
    const allow = settings({ unsignedStart: 'allow' });
    expect(assess(trusted, undefined, [], allow).granted).toBe(true);
    expect(assess(trusted, undefined, [], runbook).granted).toBe(false);
  });
});

test('a starter who has lost the role since is asked to find somebody else', () => {
  expect(assess(seal(signed), undefined, [], runbook).granted).toBe(false);
  expect(assess(seal(signed), { name: 'olga', roles: [] }, [], runbook).granted).toBe(false);
  const other = [approval('omar', 'on-call')];
  expect(assess(seal(signed), undefined, other, runbook).granted).toBe(true);
});

describe('break-glass', () => {
  const breakGlass = { for: ['team-lead'], standIn: 'on-call', count: 2, after: '10m' };
  const glass = settings({ breakGlass });
  const database = seal(signed, ['schema/version']);
  const standIn = (name: string, at = 600): Approval => ({
    ...approval(name, 'on-call'),
    ...{ at: plannedAt + at, breakGlass: 'nobody answers' },
  });

  test('lets two others stand in for a lead who was silent for ten minutes, and marks it', () => {
    const found = assess(database, olga, [standIn('omar'), standIn('ines')], glass);
    expect(found).toMatchObject({ granted: true, breakGlass: true });
    expect(found.needs[1]).toMatchObject({ by: ['omar', 'ines'], breakGlass: true });
  });

  test.each<[string, Approval[], AuthoritySettings]>([
    ['one of them is not enough', [standIn('omar')], glass],
    ['one of them twice is not enough', [standIn('omar'), standIn('omar')], glass],
    ['not before the time is over', [standIn('omar'), standIn('ines', 599)], glass],
    ['whoever asked for the run is not one of them', [standIn('omar'), standIn('olga')], glass],
    ['an ordinary approval is not meant so', [standIn('omar'), approval('ines', 'on-call')], glass],
    ['not where settings do not allow it', [standIn('omar'), standIn('ines')], runbook],
  ])('%s', (_, approvals, rules) => {
    expect(assess(database, olga, approvals, rules)).toMatchObject({
      granted: false,
      breakGlass: false,
    });
  });

  test('is for the roles that settings name, not for the CTO', () => {
    const regions = { ...database, scope: scope(['deployment/template'], ['eu', 'us']) };
    expect(assess(regions, olga, [standIn('omar'), standIn('ines')], glass).granted).toBe(false);
  });
});
