import { pino } from 'pino';
import type { Tell } from '../contract/notice.ts';
import type { Logger, LogLevel, LogMetadata } from '@temporalio/worker';

/** Structured logs on stdout, one JSON object a line; addresses lose their passwords. */
export const log = pino({
  base: undefined,
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (label) => ({ level: label }) },
  serializers: { error: pino.stdSerializers.err },
  // Task tokens let whoever reads them answer for an activity.
  redact: ['taskToken', '*.password', '*.token', '*.apiKey', '*.authorization'],
  hooks: {
    streamWrite: (line) => line.replace(/(\w+:\/\/[^\s:/@"]*):[^\s@"]+@/g, '$1:***@'),
  },
});

/** Tells people where whoever collects the logs can pick it up. */
export const tellInLog: Tell = ({ text, urgent, ...notice }) => {
  log[urgent ? 'warn' : 'info']({ notice }, text);
  return Promise.resolve();
};

/** The Temporal SDK's logs in the same form. */
export const temporalLogger: Logger = {
  log: (level: LogLevel, message: string, meta?: LogMetadata) => {
    const name = level.toLowerCase() as 'trace' | 'debug' | 'info' | 'warn' | 'error';
    log[name](metaOf(meta), message);
  },
  trace: (message, meta) => log.trace(metaOf(meta), message),
  debug: (message, meta) => log.debug(metaOf(meta), message),
  info: (message, meta) => log.info(metaOf(meta), message),
  warn: (message, meta) => log.warn(metaOf(meta), message),
  error: (message, meta) => log.error(metaOf(meta), message),
};

/** JSON has no bigint, and the SDK logs some. */
function metaOf(meta: LogMetadata | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(meta ?? {}).map(([key, value]) => [
      key,
      typeof value === 'bigint' ? String(value) : value,
    ]),
  );
}
