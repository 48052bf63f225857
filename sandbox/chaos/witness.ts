/** A client of a database that knows nothing of a run, and looks at it from outside all the time. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

const everyMs = 15;
const answerWithinMs = 5000;

/** Answers what must not be; where it throws, the database cannot be used. */
export type Look = (client: pg.Client) => Promise<string | undefined>;

/** Looks again and again, with a new session where the last one was ended. */
export class DatabaseWitness {
  private readonly url: string;
  private readonly look: Look;
  private readonly seen = new Set<string>();
  private readonly looking: Promise<void>;
  private isOver = false;
  private lastAt = performance.now();
  private longestMs = 0;

  constructor(url: string, look: Look) {
    this.url = url;
    this.look = look;
    this.looking = this.run();
  }

  /** Looks no more; answers for how long at most it could not look, in milliseconds. */
  async stop(): Promise<number> {
    this.isOver = true;
    await this.looking;
    this.note();
    return this.longestMs;
  }

  /** Looks no more; answers what was seen, and whether it could not look for longer than `limitMs`. */
  async end(limitMs: number): Promise<string[]> {
    const isLong = (await this.stop()) > limitMs;
    const { host, pathname } = new URL(this.url);
    const seconds = (this.longestMs / 1000).toFixed(1);
    return [
      ...this.seen,
      ...(isLong ? [`${pathname.slice(1)} on ${host} could not be used for ${seconds} s`] : []),
    ];
  }

  private async run(): Promise<void> {
    while (!this.isOver) {
      const client = new pg.Client({
        connectionString: this.url,
        connectionTimeoutMillis: answerWithinMs,
        query_timeout: answerWithinMs,
      });
      client.on('error', () => undefined);
      try {
        await client.connect();
        while (!this.isOver) {
          const wrong = await this.look(client);
          if (wrong !== undefined) this.seen.add(wrong);
          this.note();
          await delay(everyMs);
        }
      } catch {
        await delay(everyMs);
      } finally {
        // One that does not answer does not say goodbye either.
        client.end().catch(() => undefined);
      }
    }
  }

  private note(): void {
    const now = performance.now();
    this.longestMs = Math.max(this.longestMs, now - this.lastAt);
    this.lastAt = now;
  }
}
