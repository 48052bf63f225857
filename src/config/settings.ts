import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import { settingsSchema, type Settings } from './schema.ts';

/** Settings that cannot be used. The message has every mistake with its place, one a line. */
export class SettingsError extends Error {}

export interface LoadedSettings {
  settings: Settings;
  /** Absolute path of the file; relative commands in it start from its folder. */
  file: string;
  folder: string;
}

/** Where the settings are: `ROLLBACK_CONFIG`, else `rollback.yaml` in the current folder. */
export function settingsFile(environment: NodeJS.ProcessEnv = process.env): string {
  return resolve(environment.ROLLBACK_CONFIG || 'rollback.yaml');
}

/**
 * Reads and validates the settings. `${NAME}` and `${NAME:-fallback}` in values are taken from the
 * environment, so that secrets and addresses stay out of the file.
 * @throws {SettingsError} with all mistakes at once.
 */
export function loadSettings(
  file: string = settingsFile(),
  environment: NodeJS.ProcessEnv = process.env,
): LoadedSettings {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : String(error);
    throw new SettingsError(
      `The settings file ${file} ${why}: name another with ROLLBACK_CONFIG, or start from the example rollback.yaml.`,
    );
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = (offset: number | undefined) => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${line}:${col}`;
  };
  const mistakes = document.errors.map(
    (error) => `${place(error.pos[0])} ${error.message.split('\n')[0]}`,
  );
  if (mistakes.length === 0) mistakes.push(...interpolate(document, environment, place));
  if (mistakes.length > 0) throw new SettingsError(mistakes.join('\n'));

  const parsed = settingsSchema.safeParse(document.toJS() ?? {});
  if (parsed.success) return { settings: parsed.data, file, folder: dirname(file) };
  throw new SettingsError(
    parsed.error.issues
      .flatMap((issue) => {
        const path = issue.path.map(String);
        const tell = (where: string[], words: string) =>
          `${place(offsetOf(document, where))} ${where.join('.') || 'settings'}: ${words}`;
        if (issue.code !== 'unrecognized_keys') return tell(path, issue.message);
        return issue.keys.map((key) => tell([...path, key], 'is not a known setting'));
      })
      .join('\n'),
  );
}

/** Position of the value at `path`, or of the nearest thing above it that is in the file. */
function offsetOf(document: Document, path: string[]): number | undefined {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true) as { range?: number[] } | undefined;
    if (node?.range) return node.range[0];
  }
  return undefined;
}

function interpolate(
  document: Document,
  environment: NodeJS.ProcessEnv,
  place: (offset: number | undefined) => string,
): string[] {
  const mistakes: string[] = [];
  visit(document, {
    Scalar(key, node) {
      if (key === 'key' || !isScalar(node) || typeof node.value !== 'string') return;
      node.value = node.value.replace(
        /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
        (_, name: string, fallback: string | undefined) => {
          const value = environment[name] || fallback;
          if (value !== undefined) return value;
          mistakes.push(
            `${place(node.range?.[0])} the environment variable ${name} is not set: set it, or write \${${name}:-fallback}`,
          );
          return '';
        },
      );
    },
  });
  return mistakes;
}
