/** Wakes whoever waits after something changed. */
export class Events {
  private wake: (() => void) | undefined;
  private pending = false;
  readonly notify = () => {
    this.pending = true;
    this.wake?.();
  };
  /** Resolves at the next notification, at once if one came since the last call, or after `ms`. */
  async next(ms: number): Promise<void> {
    if (!this.pending) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.wake = undefined;
    this.pending = false;
  }
}
