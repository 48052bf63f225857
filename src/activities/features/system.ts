/** Systems of feature flags, as the settings describe them. */
import type { Changing, FeatureSystem, Reading } from '../../config/features.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import type { Target } from '../../contract/plan.ts';
import { refused, stale } from '../failures.ts';
import { inWords } from '../kubernetes/objects.ts';
import { type FlagState, inMeasure, isOff } from './flag-change.ts';
import { HttpError, requestJson, valueAt } from './http.ts';
import { addressOf, bodyOf, type Values } from './template.ts';

/** What was read of a flag. */
export interface ReadFlag {
  state: FlagState;
  answer: unknown;
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

  /** Makes a flag so, whatever it is now. */
  async change(name: string, to: FlagState, by: 'off' | 'on' | 'percentage', found: ReadFlag) {
    const { headers, timeout, whole, [by]: request } = this.settings;
    if (!request) {
      throw refused(
        `The settings do not say how the share of a feature is changed in ${this.name}: add features.${this.name}.percentage.`,
      );
    }
    const percentage = inMeasure(whole, to.percentage);
    const values: Values = {
      ...{ name, percentage, rest: whole - percentage, answer: found.answer },
    };
    const answer = await requestJson({
      ...{ what: this.words, method: request.method, timeout, folder: this.folder },
      url: addressOf(request.url, values),
      headers: [headers, request.headers],
      body: bodyOf(request satisfies Changing, values),
    });
    if (answer !== undefined) return;
    throw new HttpError(404, `${this.words} answers 404: there is no feature ${name} to change`);
  }

  get words(): string {
    return `Feature system ${this.name}`;
  }

  private async readAt(
    { url, enabled: enabledAt, percentage: percentageAt }: Reading,
    name: string,
    headers: FeatureSystem['headers'][],
    signal: AbortSignal | undefined,
  ): Promise<ReadFlag | undefined> {
    const { timeout, whole } = this.settings;
    const answer = await requestJson({
      ...{ what: this.words, method: 'GET', url: addressOf(url, { name }), headers, timeout },
      ...{ folder: this.folder, signal },
    });
    if (answer === undefined) return undefined;
    const enabled = valueAt(answer, enabledAt);
    if (typeof enabled !== 'boolean') {
      throw new HttpError(
        0,
        `${this.words} has no true or false at ${enabledAt} for feature ${name}: is there such a feature, and do the settings say where it stands?`,
      );
    }
    // Where nothing is said of a share, it is all or nobody.
    const share = percentageAt === undefined ? undefined : valueAt(answer, percentageAt);
    const number = share === undefined || share === null || share === '' ? whole : Number(share);
    if (!(number >= 0 && number <= whole)) {
      throw new HttpError(
        0,
        `${this.words} has no number from 0 to ${whole} at ${percentageAt} for feature ${name}: correct where it stands in the settings`,
      );
    }
    const percentage = whole === 100 ? number : (number * 100) / whole;
    return { state: { enabled, percentage }, answer };
  }
}

/** Whether a flag that may not be there is off. */
export function isReadOff(found: ReadFlag | undefined): boolean {
  return found === undefined || isOff(found.state);
}
