/** What `rollback doctor` looks at of caches and systems of feature flags. */
import { percentInWords, readRate } from '../activities/features/error-rate.ts';
import { HttpError } from '../activities/features/http.ts';
import { FlagSystem } from '../activities/features/system.ts';
import { withCache } from '../activities/redis/connect.ts';
import type { LoadedSettings } from '../config/settings.ts';
import { type Finding, look } from './findings.ts';

/** Nobody has a flag of this name: that there is none is answer enough. */
const nobodys = 'rollback-doctor';

/** Whether each cache is reached as a master, and each system answers who asks with these secrets. */
export async function checkFeatures(findings: Finding[], loaded: LoadedSettings): Promise<void> {
  const { caches, features } = loaded.settings;
  for (const name of Object.keys(caches)) {
    await look(findings, 'cache', () =>
      withCache(loaded, name, ({ address, masters, isCluster }) =>
        Promise.resolve([
          true,
          `${name}: ${address}, ${isCluster ? `cluster of ${masters.length} masters` : 'master'}`,
        ]),
      ),
    );
  }
  for (const name of Object.keys(features)) {
    const system = new FlagSystem(loaded, name);
    await look(findings, 'features', async () => {
      const { context } = system.target(nobodys);
      try {
        await Promise.all([system.read(nobodys), system.readPublic(nobodys)]);
      } catch (error) {
        // A system that answers with an empty list has no such flag either.
        if (!(error instanceof HttpError) || error.status !== 0) throw error;
      }
      return [true, `${name}: ${context} answers`];
    });
    const { errorRate } = system.settings;
    if (!errorRate) continue;
    await look(findings, 'features', async () => {
      try {
        const rate = await readRate(loaded, system, nobodys, {});
        return [true, `${name}: error rate ${percentInWords(rate)}`];
      } catch (error) {
        // Nobody's flag has no errors of its own.
        const isOfFlag = 'query' in errorRate && errorRate.query.includes('{name}');
        if (!isOfFlag || !(error instanceof HttpError) || error.status !== 0) throw error;
        return [true, `${name}: ${errorRate.prometheus} answers`];
      }
    });
  }
}
