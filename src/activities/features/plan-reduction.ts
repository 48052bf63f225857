import type { LoadedSettings } from '../../config/settings.ts';
import { digestPlan } from '../../contract/digest.ts';
import { durationMs } from '../../contract/duration.ts';
import type { InputOf } from '../../contract/input.ts';
import type { Plan } from '../../contract/plan.ts';
import { refused } from '../failures.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { isForNobody, type ReductionChange, stateInWords } from './flag-change.ts';
import { percentInWords, type RateExpression, whyUnmeasured } from './error-rate.ts';
import { planCache } from './plan-cache.ts';
import { overrideWarnings, readFlag, readingWarnings } from './plan-disabling.ts';
import { FlagSystem } from './system.ts';

/** Where whoever hurries a reduction goes at once, in percent. */
const skipTo = 0;

/**
 * Plans R15: every share that may be set, from the first that is below the flag's own, and zero for
 * whoever hurries it. Reads only; needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planReduction(
  _: Clusters,
  loaded: LoadedSettings,
  input: InputOf<'reduce-feature'>,
): Promise<Plan> {
  const { feature, keepCache, percentages, watch, gate } = input;
  const system = new FlagSystem(loaded, input.system);
  const found = await readFlag(system, feature);
  const { state } = found;
  const words = `Feature ${feature} in ${system.name}`;
  const draft = { procedure: 'reduce-feature', checks: [] };
  const isOff = isForNobody(state);
  const { percentage: now } = state;
  if (now === null && !isOff) {
    throw refused(
      `${words} has no percentage rollout${found.noShare === undefined ? '' : ` that tells who has it (${found.noShare})`}: turn it off at once with rollback feature ${feature}.`,
    );
  }
  const rest = isOff || now === null ? [] : percentages.filter((share) => share < now);
  const last = rest.at(-1);
  if (last === undefined) {
    const which = isOff ? '' : `, at or below all of ${percentages.join(', ')} %`;
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
  const rate = rateOf(system, input);
  const waits = rest.length - 1;
  const unmeasured =
    errorRate && waits > 0 ? await whyUnmeasured(loaded, system, feature, rate) : undefined;
  const cache = await planCache(loaded, system.name, feature, keepCache);
  const target = system.target(feature);
  const change: ReductionChange = {
    ...{ id: 'flag', kind: 'feature/reduce', target, before: state },
    after: {
      ...{ enabled: true, percentage: last },
      ...{ percentages: rest.join(','), watch, gate, ...rate },
      // Nobody can hurry what is not watched.
      ...(waits > 0 ? { skipTo } : {}),
    },
  };
  const changes = [change, ...(cache.change ? [cache.change] : [])];
  return digestPlan({
    ...draft,
    summary: `${words} goes down from ${stateInWords(state)}${rest.length > 1 ? ` by ${rest.slice(0, -1).join(', ')}` : ''} to ${last} %, ${watch} at each, for as long as its error rate is above ${percentInWords(gate)}.`,
    changes,
    targets: changes.map((one) => one.target),
    differences: [
      `${feature}: ${[stateInWords(state), ...rest.map((share) => `${share} %`)].join(' -> ')}`,
      ...Object.values(rate).map((text) => `error rate: ${text}`),
      ...cache.differences,
    ],
    warnings: [
      'Where the error rate is at or below the gate, it stops and leaves the feature on at that share.',
      ...(waits > 0
        ? [
            `While a share is watched, rollback skip hurries it to ${skipTo} % at once, and rollback skip --stay leaves it there.`,
          ]
        : []),
      ...(errorRate
        ? []
        : [
            `The settings have no features.${system.name}.errorRate, so nothing stops it before ${last} %.`,
          ]),
      ...(unmeasured === undefined
        ? []
        : [
            `The error rate cannot be measured now (${unmeasured}): while that is so, nothing stops it before ${last} %.`,
          ]),
      ...cache.warnings,
      ...readingWarnings(system),
      ...(await overrideWarnings(system, feature, found)),
    ],
    estimateSeconds: Math.ceil((waits * durationMs(watch)) / 1000) + rest.length,
  });
}

/**
 * What the input says of the error rate in place of the settings; their address stays.
 * @throws Refused where the settings measure it in another way.
 */
function rateOf(
  { name, settings: { errorRate } }: FlagSystem,
  { errorRateField, errorRateQuery }: InputOf<'reduce-feature'>,
): RateExpression {
  const place = `features.${name}.errorRate`;
  if (errorRateField !== undefined && !(errorRate && 'url' in errorRate)) {
    throw refused(`A field of the error rate needs ${place}.url in the settings.`);
  }
  if (errorRateQuery !== undefined && !(errorRate && 'prometheus' in errorRate)) {
    throw refused(`A query for the error rate needs ${place}.prometheus in the settings.`);
  }
  return {
    ...(errorRateField === undefined ? {} : { errorRateField }),
    ...(errorRateQuery === undefined ? {} : { errorRateQuery }),
  };
}
