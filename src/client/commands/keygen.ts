import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { stringify } from 'yaml';
import { makeKey, publicPart } from '../../authority/private-key.ts';
import { CliError } from '../errors.ts';
import { printJson, printLine, printNote } from '../output.ts';

export interface KeygenOptions {
  out?: string;
  print?: boolean;
  worker?: boolean;
  json?: boolean;
}

/** Makes a key, keeps its private part in a file for its owner alone, and tells the public part. */
export async function keygen(name: string, options: KeygenOptions): Promise<number> {
  if (name.trim() === '') throw new CliError('Say whose key it is: rollback keygen NAME.');
  const key = await makeKey(name);
  const entry = publicPart(key);
  if (options.print) {
    // For a pipe into a store of secrets: the one place where a private key is written out.
    printJson(key);
    return 0;
  }
  const file = resolve(options.out ?? `${name.replace(/[^\w.@-]/g, '-')}.jwk`);
  if (existsSync(file)) {
    throw new CliError(
      `${file} is there already and stays as it is: name another file with --out.`,
    );
  }
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, `${JSON.stringify(key)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new CliError(`${file} cannot be written: ${(error as Error).message}.`);
  }
  if (options.json) {
    printJson({ file, public: entry });
    return 0;
  }
  printNote(`The private key of ${name} is in ${file}; only its owner may read it.`);
  if (options.worker) {
    printNote('Name it in worker.key of the settings, and add to the people file:\n');
    printLine(stringify({ workers: [entry] }, { flowCollectionPadding: true }).trimEnd());
  } else {
    printNote(`Its owner sets ROLLBACK_KEY=${file}. Add to the people file, with their roles:\n`);
    const people = { [name]: { roles: [], keys: [entry] } };
    printLine(stringify({ people }).trimEnd().replace('roles: []', 'roles: [] # such as on-call'));
  }
  return 0;
}
