/** Whether whoever must decide about a run could, and whether workers can seal their plans. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { isLoopback, workerKey } from '../../authority/load.ts';
import { assertRolesFilled, RegisterSource } from '../../authority/register.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';
import { ownKey } from '../own-key.ts';

/** Whether this is a machine of a worker, which alone has the key of one. */
export function isWorkersMachine({ settings, folder }: LoadedSettings): boolean {
  return settings.worker.key !== undefined && existsSync(resolve(folder, settings.worker.key));
}

export async function checkAuthority(
  findings: Finding[],
  loaded: LoadedSettings,
  temporalAddress: string,
): Promise<void> {
  const source = new RegisterSource(loaded, isLoopback(temporalAddress));
  const register = await look(findings, 'people', async () => {
    const found = source.current();
    assertRolesFilled(found, source.peopleFile);
    return Promise.resolve([found, `${source.peopleFile}: every rule can be filled`]);
  });
  if (!register) return;
  await look(findings, 'your key', async () => {
    const key = await ownKey(undefined);
    if (!key) {
      return [true, 'none: a run that you start waits until somebody confirms it (ROLLBACK_KEY)'];
    }
    const { name, roles } = register.ownerOf(key.kid, Date.now());
    if (name === key.sub) return [true, `${name}, ${roles.join(', ') || 'without a role'}`];
    throw new CliError(`it says ${key.sub}, and ${source.peopleFile} says that it is of ${name}`);
  });
  await look(findings, 'worker key', async () => {
    const file = resolve(loaded.folder, loaded.settings.worker.key ?? '');
    if (loaded.settings.worker.key !== undefined && !isWorkersMachine(loaded)) {
      return [true, `${file} is not on this machine; only workers need it`];
    }
    const { kid } = await workerKey(loaded, register, source.peopleFile);
    return [true, `${file}, ${kid}`];
  });
}
