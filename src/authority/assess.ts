/** Which needs of a plan are filled by whose decision. Pure: everything it looks at is given. */
import {
  startRule,
  type Assessment,
  type Need,
  type NeedStatus,
  type SealClaims,
} from '../contract/authority.ts';
import type { AuthoritySettings } from '../config/authority.ts';
import type { Person } from './register.ts';
import { needsOf } from './rules.ts';

/** A verified approval. `at` is when it was signed, in seconds. */
export interface Approval extends Person {
  at: number;
  /** Why somebody of another role is stood in for; only where this is meant to do so. */
  breakGlass?: string;
  /** Says that a run that was reset was only interrupted: confirms its start, and nothing else. */
  resumes: boolean;
}

/** One open place of a need: somebody with one of these roles. */
interface Place {
  need: number;
  roles: string[];
  isStart: boolean;
}

/**
 * Fills the needs of a sealed plan with approvals, in the order in which they came. A person fills
 * one place in all, the requester none but that of the start.
 * @param starter the person whose signature started the run, where that still counts
 * @returns with whose approvals fill a place, or may do so once somebody stands in with them; and
 *   who of them stands in for others
 */
export function assess(
  seal: SealClaims,
  starter: Person | undefined,
  approvals: readonly Approval[],
  settings: AuthoritySettings,
): { assessment: Assessment; counted: string[]; standing: string[] } {
  const needs: NeedStatus[] = [startNeed(settings), ...needsOf(seal.scope, settings)].map(
    (need) => ({ ...need, filled: 0, by: [], breakGlass: false }),
  );
  const started = whoStarted(seal, starter, settings);
  fill(needs[0], started === undefined ? [] : [started]);
  const claimed = 'by' in seal.start ? seal.start.by : undefined;

  const places = needs.flatMap(({ roles, count, filled }, need): Place[] =>
    Array.from({ length: count - filled }, () => ({ need, roles, isStart: need === 0 })),
  );
  // The latest word of each person, in the order in which they first spoke.
  const people = [...new Map(approvals.map((one) => [one.name, one])).values()];
  const assigned = assign(places, people, (person, { roles, isStart }) => {
    const may = person.roles.some((role) => roles.includes(role));
    return may && (isStart || (person.name !== claimed && !person.resumes));
  });
  const inOrder = [...assigned].sort(([, a], [, b]) => people.indexOf(a) - people.indexOf(b));
  for (const [{ need }, person] of inOrder) fill(needs[need], [person.name]);
  const requester = claimed ?? [...assigned].find(([{ isStart }]) => isStart)?.[1].name ?? null;

  const free = people.filter((person) => ![...assigned.values()].includes(person));
  const open = places.filter((place) => !assigned.has(place));
  const standing = standIn(open, free, needs, { seal, requester, settings });

  const lacking = needs.filter(({ filled, count }) => filled < count);
  const assessment: Assessment = {
    granted: lacking.length === 0,
    requester,
    needs,
    missing: lacking.map(inWords).join('; '),
    missingRoles: [...new Set(lacking.flatMap(({ roles }) => roles))],
    breakGlass: needs.some(({ breakGlass }) => breakGlass),
  };
  return {
    assessment,
    counted: [...assigned.values(), ...standing].map(({ name }) => name),
    standing: standing.map(({ name }) => name),
  };
}

/** Fills one place of a need; several people where they stand in together. */
function fill(need: NeedStatus | undefined, names: string[]): void {
  if (!need || names.length === 0) return;
  need.filled += 1;
  need.by.push(...names);
}

function startNeed({ startedBy }: AuthoritySettings): Need {
  const why = 'somebody who may must have started it';
  return { rule: startRule, roles: startedBy, count: 1, why };
}

/** Who or what fills the need for a start before anybody has decided. */
function whoStarted(
  { start }: SealClaims,
  starter: Person | undefined,
  { startedBy, unsignedStart }: AuthoritySettings,
): string | undefined {
  switch (start.kind) {
    case 'signed':
      return starter?.roles.some((role) => startedBy.includes(role)) ? starter.name : undefined;
    case 'automatic':
      return start.text;
    case 'trusted':
      return unsignedStart === 'allow' ? start.text : undefined;
    case 'replanned':
    case 'unsigned':
      return undefined;
  }
}

type Fits = (person: Approval, place: Place) => boolean;

/**
 * Assigns people to places, as many as can be, each to one. Where the start is open, the first who
 * may confirm it does, and so counts as having asked for the run, unless that leaves another place
 * open which nobody else can fill.
 */
function assign(places: Place[], people: Approval[], fits: Fits): Map<Place, Approval> {
  const [start, others] = [
    places.find(({ isStart }) => isStart),
    places.filter((place) => !place.isStart),
  ];
  const withoutStart = match(others, people, fits);
  if (!start) return withoutStart;
  return people
    .filter((person) => fits(person, start))
    .map((person) => {
      const rest = people.filter((one) => one !== person);
      return new Map([[start, person], ...match(others, rest, fits)]);
    })
    .concat(withoutStart)
    .reduce((best, candidate) => (candidate.size > best.size ? candidate : best));
}

/**
 * A largest matching: a place that was given goes to somebody else only where whoever had it fits
 * another (augmenting paths). Earlier people come first.
 */
function match(places: Place[], people: Approval[], fits: Fits): Map<Place, Approval> {
  const holder = new Map<Place, Approval>();
  const seat = (person: Approval, tried: Set<Place>): boolean => {
    for (const place of places) {
      if (tried.has(place) || !fits(person, place)) continue;
      tried.add(place);
      const other = holder.get(place);
      if (other === undefined || seat(other, tried)) {
        holder.set(place, person);
        return true;
      }
    }
    return false;
  };
  for (const person of people) seat(person, new Set());
  return holder;
}

/**
 * Lets break-glass approvals fill places of people who were told and did not answer; answers those
 * that do, or will with others.
 */
function standIn(
  open: readonly Place[],
  free: readonly Approval[],
  needs: NeedStatus[],
  context: { seal: SealClaims; requester: string | null; settings: AuthoritySettings },
): Approval[] {
  const { breakGlass } = context.settings;
  if (!breakGlass) return [];
  const able = free.filter((person) => whyNotStandIn(person, context) === undefined);
  const standing: Approval[] = [];
  for (const { need, roles, isStart } of open) {
    const status = needs[need];
    if (isStart || !status || !roles.every((role) => breakGlass.for.includes(role))) continue;
    const together = able.slice(standing.length, standing.length + breakGlass.count);
    standing.push(...together);
    if (together.length < breakGlass.count) break;
    fill(
      status,
      together.map(({ name }) => name),
    );
    status.breakGlass = true;
  }
  return standing;
}

/** Why this person cannot stand in for another; undefined where they can. */
export function whyNotStandIn(
  person: Approval,
  {
    seal,
    requester,
    settings,
  }: { seal: SealClaims; requester: string | null; settings: AuthoritySettings },
): string | undefined {
  const { breakGlass } = settings;
  if (!breakGlass) return 'the settings have no breakGlass';
  if (!person.breakGlass) return 'the approval does not say --break-glass';
  if (!person.roles.includes(breakGlass.standIn)) return `only ${breakGlass.standIn} may stand in`;
  if (person.name === requester) return 'whoever asked for the run may not stand in';
  const waited = person.at - seal.iat;
  const due = breakGlass.after / 1000;
  if (waited >= due) return undefined;
  const from = new Date((seal.iat + due) * 1000).toISOString();
  return `those asked must have been silent for ${Math.round(due)} s, which is from ${from} on`;
}

function inWords({ rule, roles, count, filled, why }: NeedStatus): string {
  const who = `${count - filled} ${filled > 0 ? 'more ' : ''}${roles.join(' or ')}`;
  return rule === startRule ? `${who} to confirm the start` : `${who} (${rule}: ${why})`;
}
