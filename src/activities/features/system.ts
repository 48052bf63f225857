/** Systems of feature flags, as the settings describe them. */
import type { Changing, FeatureSystem, Reading } from '../../config/features.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import type { Target } from '../../contract/plan.ts';
import { refused, stale } from '../failures.ts';
import { inWords } from '../kubernetes/objects.ts';
import { type FlagState, inMeasure, inPercent, off } from './flag-change.ts';
import { HttpError, requestChange, requestJson, valueAt } from './http.ts';
import { addressOf, bodyOf, headersOf, type Values } from './template.ts';

/** What was read of a flag. */
export interface ReadFlag {
  state: FlagState;
  answer: unknown;
  /** Why no share tells who has it, where one is looked for. */
  noShare?: string;
}

/** Identity of the place where the flag is changed, whatever the settings call the system. */
function uidOf({ off }: FeatureSystem): string {
  const { origin, pathname } = new URL(off.url);
  return `${origin}${pathname}`;
}

export class FlagSystem {
  readonly name: string;
  readonly settings: FeatureSystem;
  private readonly folder: string;

  /** @throws Refused where the settings have no such system, or several and none is named. */
  constructor({ settings: { features }, folder }: LoadedSettings, name: string | undefined) {
    const names = Object.keys(features);
    const wanted = name ?? (names.length === 1 ? names[0] : undefined);
    const found =
      wanted !== undefined && Object.hasOwn(features, wanted) ? features[wanted] : undefined;
    if (wanted === undefined || !found) {
      const have = `the settings have ${names.join(', ') || 'none'} under features`;
      throw refused(
        name === undefined && names.length > 1
          ? `Which system has the feature is not said: name one with --system; ${have}.`
          : `There is no system of feature flags${name === undefined ? '' : ` ${name}`}: ${have}.`,
      );
    }
    this.name = wanted;
    this.settings = found;
    this.folder = folder;
  }

  /**
   * The system that a target is in.
   * @throws PlanStale where the settings name another place than the one that was planned.
   */
  static of(loaded: LoadedSettings, target: Target): FlagSystem {
    const system = new FlagSystem(loaded, target.namespace);
    if (uidOf(system.settings) === target.uid) return system;
    throw stale(
      `${inWords(target)}: the settings name another address than the one that was planned. Nothing was changed; start again.`,
    );
  }

  target(name: string): Target {
    const { hostname, port, protocol } = new URL(this.settings.off.url);
    const context = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
    return { kind: 'feature', context, namespace: this.name, name, uid: uidOf(this.settings) };
  }

  /** Reads a flag where it is kept, as far as that is possible; undefined where there is none. */
  read(name: string, signal?: AbortSignal): Promise<ReadFlag | undefined> {
    const { source, headers } = this.settings;
    if (source) return this.readAt(source, name, [headers, source.headers], signal);
    return this.readPublic(name, signal);
  }

  /** Reads a flag as everybody does; undefined where there is none. */
  readPublic(name: string, signal?: AbortSignal): Promise<ReadFlag | undefined> {
    const { public: readers } = this.settings;
    if (!readers) return this.read(name, signal);
    return this.readAt(readers, name, [readers.headers], signal);
  }

  /** Words on exceptions that stay on though the flag is off; undefined where there are none. */
  async readOverrides(name: string, { answer }: ReadFlag): Promise<string | undefined> {
    const { overrides, headers, timeout } = this.settings;
    if (!overrides) return undefined;
    const { url, list, enabled, by } = overrides;
    const listed = await requestJson({
      ...{ what: this.words, method: 'GET', url: addressOf(url, { name, answer }), timeout },
      ...{ headers: [headers, overrides.headers], folder: this.folder },
    });
    const items = valueAt(listed, list);
    if (!Array.isArray(items)) throw new HttpError(0, `${this.words} has no list at ${list}`);
    const isOverride = (item: unknown) =>
      by.length === 0 || by.some((path) => (valueAt(item, path) ?? null) !== null);
    const on = items.filter((item) => valueAt(item, enabled) === true && isOverride(item)).length;
    if (on === 0) return undefined;
    return `${on} ${on === 1 ? 'override keeps' : 'overrides keep'} feature ${name} on for some, whatever the flag says: take them out in ${this.name} itself.`;
  }

  /** Makes a flag so, whatever it is now. */
  async change(
    name: string,
    to: FlagState,
    by: 'off' | 'on' | 'percentage',
    found: ReadFlag,
    signal: AbortSignal,
  ): Promise<void> {
    const { headers, timeout, whole, [by]: request } = this.settings;
    if (!request) {
      throw refused(
        `The settings do not say how the share of a feature is changed in ${this.name}: add features.${this.name}.percentage.`,
      );
    }
    const values: Values = { name, answer: found.answer, ...sharesOf(whole, to) };
    const isThere = await requestChange({
      ...{ what: this.words, method: request.method, timeout, folder: this.folder, signal },
      url: addressOf(request.url, values),
      headers: [headers, headersOf(request, values)],
      body: bodyOf(request satisfies Changing, values),
    });
    if (isThere) return;
    throw new HttpError(404, `${this.words} answers 404: there is no feature ${name} to change`);
  }

  get words(): string {
    return `Feature system ${this.name}`;
  }

  private async readAt(
    reading: Reading,
    name: string,
    headers: FeatureSystem['headers'][],
    signal: AbortSignal | undefined,
  ): Promise<ReadFlag | undefined> {
    const { timeout, whole } = this.settings;
    const { url, enabled: enabledAt, percentage: percentageAt, missing } = reading;
    const answer = await requestJson({
      ...{ what: this.words, method: 'GET', url: addressOf(url, { name }), headers, timeout },
      ...{ folder: this.folder, signal },
    });
    if (answer === undefined) return missing && { state: off, answer };
    const enabled = valueAt(answer, enabledAt);
    if (typeof enabled !== 'boolean') {
      throw new HttpError(
        0,
        `${this.words} has no true or false at ${enabledAt} for feature ${name}: is there such a feature, and do the settings say where it stands?`,
      );
    }
    if (percentageAt === undefined) return { state: { enabled, percentage: 100 }, answer };
    const noShare = whyNoShare(reading, answer);
    if (noShare !== undefined) return { state: { enabled, percentage: null }, answer, noShare };
    const share = Number(valueAt(answer, percentageAt));
    if (!(share >= 0 && share <= whole)) {
      throw new HttpError(
        0,
        `${this.words} has no number from 0 to ${whole} at ${percentageAt} for feature ${name}: correct where it stands in the settings`,
      );
    }
    return { state: { enabled, percentage: inPercent(whole, share) }, answer };
  }
}

/** A share, and what it leaves to the whole, in the system's own measure; none where no share is known. */
export function sharesOf(
  whole: number,
  { percentage: share }: FlagState,
): Pick<Values, 'percentage' | 'rest'> {
  if (share === null) return {};
  return { percentage: inMeasure(whole, share), rest: inMeasure(whole, 100 - share) };
}

/** Why what was read has no share, or has one that does not say who has the flag. */
function whyNoShare({ percentage = '', require }: Reading, answer: unknown): string | undefined {
  for (const [path, wanted] of Object.entries(require)) {
    const found = valueAt(answer, path) ?? (path.endsWith('.length') ? 0 : null);
    if (found !== wanted)
      return `${path} is ${JSON.stringify(found).slice(0, 60)} and not ${String(wanted)}`;
  }
  const share = valueAt(answer, percentage) ?? '';
  return share === '' ? `there is nothing at ${percentage}` : undefined;
}
