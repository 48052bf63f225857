/**
 * So many messages that do not count are looked at in full and recorded. After that, only what
 * carries a good signature is let in, so that a flood neither fills the history nor keeps an honest
 * decision out.
 */
export const recordedRefusals = 20;
/** Checking a signature takes milliseconds, and thousands of forged signals may come in one task. */
const checkedSignals = 100;

/** Tells when a run is sent more than it need look at, and what of that is worth a look all the same. */
export class Flood {
  /** How many messages did not count. */
  refused = 0;
  /** How many are being looked at, or wait for that. */
  pending = 0;
  private failedChecks = 0;
  private checkedAt = 0;

  /** Whether too much has come; thousands may before the first of them is found not to count. */
  get isOn(): boolean {
    return this.refused + this.pending >= recordedRefusals;
  }

  /** Whether a signal in a flood is signed; after many that are not, no more are checked in one task. */
  isWorthALook(isSigned: () => boolean): boolean {
    // Time stands still within one workflow task.
    if (this.checkedAt !== Date.now()) this.failedChecks = 0;
    this.checkedAt = Date.now();
    if (this.failedChecks >= checkedSignals) return false;
    if (isSigned()) return true;
    this.failedChecks += 1;
    return false;
  }
}
