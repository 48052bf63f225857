import type { LoadedSettings } from '../../config/settings.ts';
import { digestPlan } from '../../contract/digest.ts';
import { durationMs } from '../../contract/duration.ts';
import type { InputOf } from '../../contract/input.ts';
import type { Plan } from '../../contract/plan.ts';
import { refused } from '../failures.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { isOff, type ReductionChange, stateInWords } from './flag-change.ts';
import { percentInWords } from './error-rate.ts';
import { planCache } from './plan-cache.ts';
import { readFlag, readingWarnings } from './plan-disabling.ts';
import { FlagSystem } from './system.ts';

/**
 * Plans R15: every share that may be set, from the first that is below the flag's own. Reads only; needs
 * no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planReduction(
  _: Clusters,
  loaded: LoadedSettings,
  { feature, system: named, keepCache, percentages, watch, gate }: InputOf<'reduce-feature'>,
): Promise<Plan> {
  const system = new FlagSystem(loaded, named);
  const { found } = await readFlag(system, feature);
  const { state } = found;
  const words = `Feature ${feature} in ${system.name}`;
  const draft = { procedure: 'reduce-feature', checks: [] };
  const rest = isOff(state) ? [] : percentages.filter((share) => share < state.percentage);
  const last = rest.at(-1);
  if (last === undefined) {
    const which = isOff(state) ? '' : `, at or below all of ${percentages.join(', ')} %`;
    return digestPlan({
      ...draft,
      ...{ changes: [], targets: [], differences: [], warnings: [], estimateSeconds: 0 },
      summary: `${words} is already ${stateInWords(state)}${which}: nothing to do.`,
    });
  }
  const { percentage, errorRate } = system.settings;
  if (!percentage) {
    throw refused(
      `The settings do not say how the share of a feature is changed in ${system.name}: turn it off at once with rollback feature ${feature}, or add features.${system.name}.percentage.`,
    );
  }
  const cache = await planCache(loaded, system.name, feature, keepCache);
  const target = system.target(feature);
  const change: ReductionChange = {
    ...{ id: 'flag', kind: 'feature/reduce', target, before: state },
    after: {
      ...{ enabled: true, percentage: last },
      ...{ percentages: rest.join(','), watch, gate },
    },
  };
  const changes = [change, ...(cache.change ? [cache.change] : [])];
  const waits = rest.length - 1;
  return digestPlan({
    ...draft,
    summary: `${words} goes down from ${stateInWords(state)}${rest.length > 1 ? ` by ${rest.slice(0, -1).join(', ')}` : ''} to ${last} %, ${watch} at each, for as long as its error rate is above ${percentInWords(gate)}.`,
    changes,
    targets: changes.map((one) => one.target),
    differences: [
      `${feature}: ${[stateInWords(state), ...rest.map((share) => `${share} %`)].join(' -> ')}`,
      ...cache.differences,
    ],
    warnings: [
      'Where the error rate is at or below the gate, it stops and leaves the feature on at that share.',
      ...(errorRate
        ? []
        : [
            `The settings have no features.${system.name}.errorRate, so nothing stops it before ${last} %.`,
          ]),
      ...cache.warnings,
      ...readingWarnings(system),
    ],
    estimateSeconds: Math.ceil((waits * durationMs(watch)) / 1000) + rest.length,
  });
}
