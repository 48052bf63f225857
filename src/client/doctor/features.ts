/** What `rollback doctor` looks at of caches and systems of feature flags. */
import { percentInWords, readRate } from '../../activities/features/error-rate.ts';
import { HttpError } from '../../activities/features/http.ts';
import { FlagSystem } from '../../activities/features/system.ts';
import { withCache } from '../../activities/redis/connect.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { isWorkersMachine } from './authority.ts';
import { type Finding, look } from './findings.ts';

/** Nobody has a flag of this name: that there is none is answer enough. */
const nobodys = 'rollback-doctor';

/** Whether each cache is reached as a master, and each system answers who asks with these secrets. */
export async function checkFeatures(findings: Finding[], loaded: LoadedSettings): Promise<void> {
  const { caches, features } = loaded.settings;
  const isElsewhere = !isWorkersMachine(loaded);
  await Promise.all([
    ...Object.keys(caches).map((name) => checkCache(findings, loaded, name, isElsewhere)),
    ...Object.keys(features).map((name) => checkSystem(findings, loaded, name, isElsewhere)),
  ]);
}

async function checkCache(
  findings: Finding[],
  loaded: LoadedSettings,
  name: string,
  isElsewhere: boolean,
): Promise<void> {
  await look(
    findings,
    'cache',
    () =>
      withCache(loaded, name, ({ address, masters, isCluster }) =>
        Promise.resolve([
          true,
          `${name}: ${address}, ${isCluster ? `cluster of ${masters.length} masters` : 'master'}`,
        ]),
      ),
    { isElsewhere, remedy: `Look there, or correct caches.${name}.` },
  );
}

async function checkSystem(
  findings: Finding[],
  loaded: LoadedSettings,
  name: string,
  isElsewhere: boolean,
): Promise<void> {
  const system = new FlagSystem(loaded, name);
  const options = { isElsewhere, remedy: `Look there, or correct features.${name}.` };
  const flags = look(
    findings,
    'features',
    async () => {
      const { context } = system.target(nobodys);
      try {
        await Promise.all([system.read(nobodys), system.readPublic(nobodys)]);
      } catch (error) {
        // A system that answers with an empty list has no such flag either.
        if (!(error instanceof HttpError) || error.status !== 0) throw error;
      }
      return [true, `${name}: ${context} answers`];
    },
    options,
  );
  const { errorRate } = system.settings;
  const rates =
    errorRate &&
    look(
      findings,
      'features',
      async () => {
        try {
          const rate = await readRate(loaded, system, nobodys, {});
          return [true, `${name}: error rate ${percentInWords(rate)}`];
        } catch (error) {
          // Nobody's flag has no errors of its own.
          const isOfFlag = 'query' in errorRate && errorRate.query.includes('{name}');
          if (!isOfFlag || !(error instanceof HttpError) || error.status !== 0) throw error;
          return [true, `${name}: ${errorRate.prometheus} answers`];
        }
      },
      options,
    );
  await Promise.all([flags, rates]);
}
