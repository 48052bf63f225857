/** Requests of the settings with what they are about put in. */
import type { Changing } from '../../config/features.ts';
import type { Headers } from '../../config/secret.ts';
import { HttpError, valueAt } from './http.ts';

/** What stands for the words in braces. */
export interface Values {
  name: string;
  /** In the system's own measure, where `whole` is 100 %. */
  percentage?: number;
  rest?: number;
  /** What the source answered. */
  answer?: unknown;
}

const word = /\{(name|percentage|rest|answer\.[^{}]+?)(:text)?\}/g;
const wholeWord = /^\{(name|percentage|rest|answer\.[^{}]+?)(:text)?\}$/;

/** An address with the values in it, each as one part of a path or query. */
export function addressOf(url: string, values: Values): string {
  // What stands for nothing else is left as it is by everybody; a URL would escape it.
  return url.replaceAll(word, (_, key: string) => encodeURIComponent(String(valueOf(key, values))));
}

/** The body of a request with the values in it, keys included; undefined where it has none. */
export function bodyOf({ body }: Changing, values: Values): unknown {
  return body === undefined ? undefined : rendered(body, values);
}

/** Headers of a request with the values in them; secrets stay references. */
export function headersOf({ headers }: Changing, values: Values): Headers {
  return Object.fromEntries(
    Object.entries(headers).map(([name, content]) => [
      name,
      typeof content === 'string' ? String(textOf(content, values)) : content,
    ]),
  );
}

function rendered(value: unknown, values: Values): unknown {
  if (typeof value === 'string') return textOf(value, values);
  if (Array.isArray(value)) return value.map((item: unknown) => rendered(item, values));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      String(textOf(key, values)),
      rendered(item, values),
    ]),
  );
}

/** A number stays one where nothing else is in the text. */
function textOf(text: string, values: Values): unknown {
  const [, key, asText] = wholeWord.exec(text) ?? [];
  if (key !== undefined) {
    const found = valueOf(key, values);
    return asText === undefined ? found : String(found);
  }
  return text.replaceAll(word, (_, name: string) => String(valueOf(name, values)));
}

/** @throws {HttpError} where what the source answered does not have it. */
function valueOf(key: string, values: Values): unknown {
  const found = key.startsWith('answer.')
    ? valueAt(values.answer, key.slice('answer.'.length))
    : values[key as 'name' | 'percentage' | 'rest'];
  if (found !== undefined) return found;
  throw new HttpError(
    0,
    `There is nothing for {${key}} in what was read of feature ${values.name}: look at the requests of its system in the settings`,
  );
}
