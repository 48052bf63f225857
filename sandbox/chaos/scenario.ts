import type { Outcome } from '../../src/contract/run.ts';
import type { Place } from './place.ts';

/** Something that can be played. */
export interface Situation {
  /** The worker's and the CLI's settings, beside keys and people; `health` ends with /green or /red. */
  settings(place: Place): object;
  /** Makes what is rolled back; answers the arguments of `rollback` that start the run. */
  prepare(place: Place): Promise<string[]>;
  /** What people do while it runs. */
  people?(place: Place): Promise<void>;
  /** Whether it needs a PostgreSQL, which may be killed. */
  hasDatabase?: boolean;
  /** Begins to look from outside, from just before the run until all is over. */
  witness?(place: Place): Witness;
  /** Whether steps go side by side, so that nothing tells which begins first. */
  sideBySide?: boolean;
  /** What outside systems have at the end, without what differs from run to run. */
  world(place: Place): Promise<unknown>;
}

/** Who looks at the world all the time while a run is disturbed. */
export interface Witness {
  /** Looks no more; answers what was seen that must never be, and the same when it is asked again. */
  end(): Promise<string[]>;
}

/** A situation that has one right end, whatever disturbs it. */
export interface Scenario extends Situation {
  name: string;
  /** How it must end. */
  outcome: Outcome;
}
