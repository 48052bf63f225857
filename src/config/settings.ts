import { dirname, resolve } from 'node:path';
import { settingsSchema, type Settings } from './schema.ts';
import { readYamlFile } from './yaml-file.ts';

export { SettingsError } from './yaml-file.ts';

export interface LoadedSettings {
  settings: Settings;
  /** Absolute path of the file; relative commands and files in it start from its folder. */
  file: string;
  folder: string;
}

/** Where the settings are: `ROLLBACK_CONFIG`, else `rollback.yaml` in the current folder. */
export function settingsFile(environment: NodeJS.ProcessEnv = process.env): string {
  return resolve(environment.ROLLBACK_CONFIG || 'rollback.yaml');
}

/**
 * Reads and validates the settings.
 * @throws {SettingsError} with all mistakes at once.
 */
export function loadSettings(
  file: string = settingsFile(),
  environment: NodeJS.ProcessEnv = process.env,
): LoadedSettings {
  const settings = readYamlFile(file, settingsSchema, environment, {
    what: 'settings file',
    remedy: 'name another with ROLLBACK_CONFIG, or start from the example rollback.yaml',
  });
  return { settings, file, folder: dirname(file) };
}
