import { readFileSync } from 'node:fs';
import { isPair, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import type { z } from 'zod';

/** Settings that cannot be used. The message has every mistake with its place, one a line. */
export class SettingsError extends Error {}

/**
 * Reads and validates a YAML file. `${NAME}` and `${NAME:-fallback}` in values are taken from the
 * environment, so that secrets and addresses stay out of the file. `remedy` is said where there is
 * no file.
 * @throws {SettingsError} with all mistakes at once.
 */
export function readYamlFile<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  environment: NodeJS.ProcessEnv,
  { what, remedy }: { what: string; remedy: string },
): z.output<Schema> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : String(error);
    throw new SettingsError(`The ${what} ${file} ${why}: ${remedy}.`);
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

  const parsed = schema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  throw new SettingsError(
    parsed.error.issues
      .flatMap((issue) => {
        const path = issue.path.map(String);
        const tell = (where: string[], words: string) =>
          `${place(offsetOf(document, where))} ${where.join('.') || 'settings'}: ${words}`;
        if (issue.code === 'invalid_key')
          return issue.issues.map(({ message }) => tell(path, message));
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

/** Whether a password stands in the file itself, in a cache's address or as a value of that name. */
function isLiteralPassword(text: string, parent: unknown): boolean {
  if (text.includes('${')) return false;
  const isNamed = isPair(parent) && isScalar(parent.key) && parent.key.value === 'password';
  return isNamed || /^rediss?:\/\/[^/?#@]*:[^/?#@]+@/.test(text);
}

function interpolate(
  document: Document,
  environment: NodeJS.ProcessEnv,
  place: (offset: number | undefined) => string,
): string[] {
  const mistakes: string[] = [];
  visit(document, {
    Scalar(key, node, path) {
      if (key === 'key' || !isScalar(node) || typeof node.value !== 'string') return;
      if (isLiteralPassword(node.value, path.at(-1))) {
        mistakes.push(
          `${place(node.range?.[0])} there is a password: write \${NAME} in its place, which is taken from the environment`,
        );
      }
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
