/** Keys of a cache: counted and deleted by their names or prefixes, and by nothing else. */
import { counted } from '../../contract/printable.ts';
import { fieldOf, type OpenCache } from './connect.ts';
import type { Master } from './master.ts';

/** Which keys are meant: those of these very names, and all that begin so. */
export interface Selection {
  keys: readonly string[];
  prefixes: readonly string[];
}

/** Keys that one SCAN looks at; the server does nothing else meanwhile. */
const batch = 1000;

/** How many keys there are; `isAll` is false where counting took too long and was given up. */
export interface Count {
  count: number;
  isAll: boolean;
}

/** Counts keys for at most `limitMs`. */
export async function countKeys(
  { client, masters }: OpenCache,
  { keys, prefixes }: Selection,
  limitMs: number,
): Promise<Count> {
  const giveUp = Date.now() + limitMs;
  // One by one, since in a cluster they lie on several nodes.
  const found = await Promise.all(keys.map((key) => client.exists(key)));
  let count = found.reduce((sum, one) => sum + one, 0);
  for (const prefix of prefixes) {
    for (const master of masters) {
      for await (const some of scan(master, prefix)) {
        count += some.length;
        if (Date.now() > giveUp) return { count, isAll: false };
      }
    }
  }
  return { count, isAll: true };
}

/**
 * Deletes keys on every master, in batches, so that nobody else waits long for the server. Whatever
 * is written meanwhile may stay.
 * @param tell is told how many are gone so far
 * @returns how many were there
 */
export async function deleteKeys(
  { client, masters }: OpenCache,
  { keys, prefixes }: Selection,
  tell: (deleted: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const gone = await Promise.all(keys.map((key) => client.unlink(key)));
  let deleted = gone.reduce((sum, one) => sum + one, 0);
  for (const prefix of prefixes) {
    for (const master of masters) {
      for await (const some of scan(master, prefix)) {
        signal.throwIfAborted();
        deleted += await unlink(master, some);
        tell(deleted);
      }
    }
  }
  return deleted;
}

/** Words that are counted: where each key begins with one of its own, none tells anything. */
const countedWords = 1000;

/**
 * How many keys begin with which word, of a sample: `session` for `session:42`; the most first. A word
 * that only one key has may be an id or an address, and is nobody's business.
 */
export async function samplePrefixes(
  { masters }: OpenCache,
  limitMs: number,
): Promise<[string, number][]> {
  const giveUp = Date.now() + limitMs;
  const counts = new Map<string, number>();
  for (const master of masters) {
    for await (const some of scan(master, '')) {
      for (const key of some) {
        const text = key.toString('utf8');
        const word = text.includes(':') ? text.slice(0, text.indexOf(':') + 1) : 'others';
        const count = counts.get(word);
        if (count !== undefined || counts.size < countedWords) counts.set(word, (count ?? 0) + 1);
      }
      if (Date.now() > giveUp) break;
    }
  }
  return [...counts].filter(([, count]) => count > 1).sort(([, one], [, other]) => other - one);
}

/** Numbers of the databases that have keys, and how many over all masters. */
export async function readDatabases({ masters }: OpenCache): Promise<[number, number][]> {
  const infos = await Promise.all(
    masters.map((master) => master.ask((redis) => redis.info('keyspace'))),
  );
  const counts = new Map<number, number>();
  for (const info of infos) {
    for (const [, number] of info.matchAll(/^db(\d+):/gm)) {
      const keys = /keys=(\d+)/.exec(fieldOf(info, `db${number}`))?.[1];
      counts.set(Number(number), (counts.get(Number(number)) ?? 0) + Number(keys));
    }
  }
  return [...counts].sort(([one], [other]) => one - other);
}

/** `3 keys`, or `more than 120000 keys` where counting was given up. */
export function countInWords({ count, isAll }: Count): string {
  if (count === 0 && !isAll) return 'keys that could not be counted in time';
  return `${isAll ? '' : 'more than '}${counted(count, 'key')}`;
}

/** Keys may be any bytes, so they stay bytes. */
async function* scan(master: Master, prefix: string): AsyncGenerator<Buffer[]> {
  const bytes = Buffer.from(prefix);
  const pattern = `${escaped(prefix)}*`;
  let cursor = '0';
  do {
    const from = cursor;
    const [next, keys] = await master.ask((redis) =>
      redis.scanBuffer(from, 'MATCH', pattern, 'COUNT', batch),
    );
    cursor = next.toString();
    yield keys.filter((key) => key.subarray(0, bytes.length).equals(bytes));
  } while (cursor !== '0');
}

/** A prefix as a pattern that means it to the letter. */
export function escaped(prefix: string): string {
  return prefix.replace(/[\\*?[\]^]/g, '\\$&');
}

/** A command for each key, since a cluster's keys of one batch are in many slots. */
async function unlink(master: Master, keys: readonly Buffer[]): Promise<number> {
  if (keys.length === 0) return 0;
  return master.ask(async (redis) => {
    const pipeline = redis.pipeline();
    for (const key of keys) pipeline.unlink(key);
    const answers = (await pipeline.exec()) ?? [];
    let deleted = 0;
    for (const [error, answer] of answers) {
      if (error) throw error;
      deleted += Number(answer);
    }
    return deleted;
  });
}
