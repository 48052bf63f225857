import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { repository } from './setup/folders.mjs';

const file = join(repository, 'temporal-dev.yaml');

const settingsSchema = z.strictObject({
  namespace: z.string().min(1),
  retention: z.string().regex(/^\d+h$/, 'must be whole hours, such as 720h'),
  sqlite: z.record(z.string(), z.string()),
  dynamicConfig: z.record(z.string(), z.json()),
});

/** What temporal-dev.yaml says. */
export type TemporalDevSettings = z.infer<typeof settingsSchema>;

/** Reads temporal-dev.yaml; throws a sentence that names the file and the setting. */
export function temporalDevSettings(): TemporalDevSettings {
  const result = settingsSchema.safeParse(parse(readFileSync(file, 'utf8')));
  if (result.success) return result.data;
  throw new Error(`${file} cannot be used: ${z.prettifyError(result.error)}`);
}

/**
 * temporal-dev.yaml as flags of `temporal server start-dev`. The retention is not among them,
 * because start-dev has no flag for it; see `retentionSeconds`. Nor is `sqlite`, since a server in
 * memory has no file; see `temporalDataFlags`.
 */
export function temporalDevFlags(): string[] {
  const { namespace, dynamicConfig } = temporalDevSettings();
  // The server makes `default` by itself, and fails on a namespace that it is told twice.
  const flags = namespace === 'default' ? [] : ['--namespace', namespace];
  for (const [key, value] of Object.entries(dynamicConfig)) {
    flags.push('--dynamic-config-value', `${key}=${JSON.stringify(value)}`);
  }
  return flags;
}

/** Where a server keeps its data, as flags of `temporal server start-dev`. */
export function temporalDataFlags(file: string): string[] {
  const pragmas = Object.entries(temporalDevSettings().sqlite);
  return [
    `--db-filename=${file}`,
    ...pragmas.flatMap(([name, value]) => ['--sqlite-pragma', `${name}=${value}`]),
  ];
}

/** How long closed runs are kept, in seconds. */
export function retentionSeconds(): number {
  return Number.parseInt(temporalDevSettings().retention, 10) * 3600;
}
