/** From the rules of the settings to what one plan needs. */
import type { Need, Scope } from '../contract/authority.ts';
import { matches } from '../contract/pattern.ts';
import { targetName, type Plan } from '../contract/plan.ts';
import type { AuthoritySettings, Rule } from '../config/authority.ts';

/** What the rules look at in a plan. */
export function scopeOf({ changes }: Pick<Plan, 'changes'>, regions: string[]): Scope {
  return {
    changes: changes.map(({ kind, target }) => ({ kind, target: targetName(target) })),
    regions,
  };
}

/** Approvals that a plan of this scope needs, rule by rule; all of them together. */
export function needsOf(scope: Scope, { rules }: AuthoritySettings): Need[] {
  return rules.flatMap((rule) => {
    const why = whyItApplies(rule, scope);
    if (why === undefined) return [];
    return Object.entries(rule.need).map(([role, count]) => ({
      rule: rule.name,
      roles: [role],
      count,
      why,
    }));
  });
}

/** Roles that decide about a step of a run: who may start it, and whom its plan needs. */
export function decidingRoles(scope: Scope, settings: AuthoritySettings): string[] {
  return [...settings.startedBy, ...needsOf(scope, settings).flatMap(({ roles }) => roles)];
}

/** Why the rule applies, in words; undefined where it does not. */
function whyItApplies({ when }: Rule, { changes, regions }: Scope): string | undefined {
  const { kinds, except = [], targets, regionsOver } = when;
  if (regionsOver !== undefined && regions.length <= regionsOver) return undefined;
  const hit = changes.filter(
    ({ kind, target }) =>
      (!kinds || matches(kind, kinds)) &&
      !matches(kind, except) &&
      (!targets || matches(target, targets)),
  );
  if (hit.length === 0) return undefined;
  if (regionsOver !== undefined) {
    return `within an hour it touches ${regions.length} regions: ${regions.join(', ')}`;
  }
  const names = [...new Set(hit.map(({ target }) => target))];
  const shown = names.length > 3 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  return `it changes ${shown.join(', ')} (${[...new Set(hit.map(({ kind }) => kind))].join(', ')})`;
}
