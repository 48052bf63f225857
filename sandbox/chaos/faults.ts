import type { WorkerProcess } from '../worker-process.ts';
import type { Disturbance, Lane } from './lane.ts';
import type { Exchange, Observer, Side, Wire } from './wire.ts';

/** How long an outside system is away. */
const awayMs = 20_000;

/** One moment of a run: which exchange, and whether the server has seen it. */
export interface Point extends Omit<Exchange, 'changes'> {
  side: Side;
}

/** What is done at a point. */
export const faults = {
  /** The worker is killed there, and another one is started at once. */
  kill: (point: Point) => new Kill(point),
  /** The connection breaks there, and the worker lives. */
  cut: (point: Point) => new Cut(point),
  /** The worker is stopped there, goes on when another has done its work, and only then is heard. */
  zombie: (point: Point) => new Zombie(point),
  /** Temporal's server is killed there, and comes back on its data. */
  restart: (point: Point) => new Restart(point, 'temporal', 1000),
  /** PostgreSQL's server is killed there with all its sessions, and comes back on its data. */
  crash: (point: Point) => new Restart(point, 'postgres', 0),
  /** The outside system is out of the worker's reach from there on, for a while. */
  away: (point: Point) => new Away(point),
} as const;
export type FaultName = keyof typeof faults;

/** A disturbance that happens once, at a point that the run may or may not come by. */
export abstract class Fault implements Disturbance {
  isReached = false;
  protected readonly point: Point;

  constructor(point: Point) {
    this.point = point;
  }

  begin(lane: Lane): void {
    const observer: Observer = (exchange, side) => {
      if (this.isReached || side !== this.point.side || !isAt(exchange, this.point)) {
        return Promise.resolve('pass');
      }
      this.isReached = true;
      return this.strike(lane);
    };
    for (const wire of Object.values(lane.wires)) wire.observe(observer);
  }

  abstract strike(lane: Lane): ReturnType<Observer>;

  end(_lane: Lane): void | Promise<void> {}
}

class Kill extends Fault {
  override strike(lane: Lane): ReturnType<Observer> {
    lane.replaceWorker('SIGKILL');
    return Promise.resolve('cut');
  }
}

class Cut extends Fault {
  override strike(): ReturnType<Observer> {
    return Promise.resolve('cut');
  }
}

class Zombie extends Fault {
  private readonly held = Promise.withResolvers<'pass'>();
  private zombie: WorkerProcess | undefined;

  override strike(lane: Lane): ReturnType<Observer> {
    this.zombie = lane.replaceWorker('SIGSTOP');
    return this.held.promise;
  }

  /** Lets it go on, and waits until it has done what it still wanted to do. */
  override async end(): Promise<void> {
    this.held.resolve('pass');
    this.zombie?.signal('SIGCONT');
    await this.zombie?.end('SIGTERM');
  }
}

class Restart extends Fault {
  private readonly name: 'temporal' | 'postgres';
  private readonly awayMs: number;
  private back: Promise<void> | undefined;
  trouble: Error | undefined;

  constructor(point: Point, name: 'temporal' | 'postgres', awayMs: number) {
    super(point);
    this.name = name;
    this.awayMs = awayMs;
  }

  override strike({ servers }: Lane): ReturnType<Observer> {
    this.back = servers.restart(this.name, this.awayMs);
    // It is awaited at the end, unless the run is stuck.
    this.back.catch((error: Error) => (this.trouble = error));
    // Nothing more is heard of it, whatever it was about to say.
    return Promise.resolve(this.point.server === this.name ? 'cut' : 'pass');
  }

  override async end(): Promise<void> {
    await this.back;
  }
}

class Away extends Fault {
  private timer: NodeJS.Timeout | undefined;

  override strike(lane: Lane): ReturnType<Observer> {
    const wire = this.wireOf(lane);
    wire.refuse(true);
    this.timer = setTimeout(() => wire.refuse(false), awayMs);
    return Promise.resolve('cut');
  }

  override end(lane: Lane): void {
    clearTimeout(this.timer);
    this.wireOf(lane).refuse(false);
  }

  private wireOf({ wires }: Lane): Wire {
    return wires[this.point.server];
  }
}

function isAt(exchange: Exchange, { server, what, nth }: Point): boolean {
  return exchange.server === server && exchange.what === what && exchange.nth === nth;
}
