/** What PostgreSQL, Redis and servers of HTTP/1.1 speak, as far as a wire has to know it. */
import { httpNaming, redisNaming, statementNaming } from './naming.ts';
import type { Conversation } from './tcp-wire.ts';

/** Requests that come before a session and are answered with one letter (PostgreSQL, 55.7). */
const encryptionRequests = [80_877_103, 80_877_104];
/** Messages of the extended query protocol, up to which one the server keeps its answer. */
const [firstOfQuery, lastOfQuery] = ['PBDEC', 'SH'];
const readyForQuery = 'Z'.charCodeAt(0);

/**
 * PostgreSQL's protocol, version 3, and PgBouncer's. A statement is answered when the server is ready for
 * the next one: until then no client takes it for done.
 */
export function postgresConversation(): Conversation {
  let isStarted = false;
  let letters = 0;
  return {
    request(said) {
      if (!isStarted) {
        if (said.length < 8 || said.length < said.readInt32BE(0)) return undefined;
        const isEncryption = encryptionRequests.includes(said.readInt32BE(4));
        if (isEncryption) letters++;
        isStarted = !isEncryption;
        return { length: said.readInt32BE(0) };
      }
      const length = messageLength(said);
      if (length === undefined) return undefined;
      const type = String.fromCharCode(said[0] ?? 0);
      if (type === 'Q') return { length, asks: statementNaming(textOf(said, 5)) };
      return firstOfQuery.includes(type) ? extendedQuery(said) : { length };
    },
    answer(said) {
      if (letters > 0) {
        letters--;
        return { length: 1, isEnd: false };
      }
      const length = messageLength(said);
      return length === undefined ? undefined : { length, isEnd: said[0] === readyForQuery };
    },
  };
}

/** All messages of one statement with parameters, which clients send in one go. */
function extendedQuery(said: Buffer): ReturnType<Conversation['request']> {
  let text: string | undefined;
  for (let at = 0; at < said.length;) {
    const message = said.subarray(at);
    const length = messageLength(message);
    if (length === undefined) return undefined;
    const type = String.fromCharCode(message[0] ?? 0);
    // Behind the statement's name.
    if (type === 'P') text ??= textOf(message, message.indexOf(0, 5) + 1);
    at += length;
    if (lastOfQuery.includes(type)) return { length: at, asks: statementNaming(text ?? 'EXECUTE') };
  }
  return undefined;
}

/** A letter, and the length of what follows it; undefined where not all is there. */
function messageLength(said: Buffer): number | undefined {
  const length = said.length < 5 ? Infinity : 1 + said.readInt32BE(1);
  return length <= said.length ? length : undefined;
}

function textOf(message: Buffer, start: number): string {
  return message.toString('utf8', start, message.indexOf(0, start));
}

/** Redis' protocol: each command is an array of strings. Answers to several may come in one. */
export function redisConversation(): Conversation {
  return {
    request(said) {
      const lines = said.toString('latin1').split('\r\n');
      const count = Number(lines[0]?.slice(1));
      // Each string has its length before it; none that matters here has a line's end in it.
      const command = lines.slice(1, 1 + 2 * count);
      if (lines.length < 2 + 2 * count) return undefined;
      const length = [lines[0], ...command].join('\r\n').length + 2;
      return { length, asks: redisNaming(command[1] ?? '') };
    },
    answer: (said) => ({ length: said.length, isEnd: true }),
  };
}

/** HTTP/1.1, one request after the other. */
export function httpConversation(): Conversation {
  return {
    request(said) {
      const head = said.indexOf('\r\n\r\n') + 4;
      const text = said.toString('latin1', 0, head);
      const length = head + Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? 0);
      if (head < 4 || said.length < length) return undefined;
      const [method = '', path = ''] = text.split(' ');
      return { length, asks: httpNaming(method, path) };
    },
    answer: (said) => ({ length: said.length, isEnd: said.toString('latin1', 0, 5) === 'HTTP/' }),
  };
}
