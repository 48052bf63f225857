/** The `type` of every ApplicationFailure that this project raises, and what it says about trying again. */
export const failureTypes = {
  /** The input is wrong; the message names the field. */
  invalidInput: 'InvalidInput',
  /** The plan says that it must not be done; the message says what to do instead. */
  refused: 'Refused',
  /** The world is neither the plan's before nor its after; nothing was changed by who says this. */
  planStale: 'PlanStale',
  /** Another run holds the target. */
  targetBusy: 'TargetBusy',
  /** The run that held the target has ended, but its last activity may still act. Passes in seconds. */
  targetSettling: 'TargetSettling',
  /** A change was asked for that belongs to no plan, or comes from no run. */
  notMandated: 'NotMandated',
  /** The change lacks the authority that the rules ask for. */
  notAuthorized: 'NotAuthorized',
  /** The settings cannot be read, so nobody's authority can be told. Passes when they are mended. */
  settingsUnusable: 'SettingsUnusable',
  /** Somebody decided that what was done is taken back. */
  aborted: 'Aborted',
  /** A rollout cannot finish; the message has the pod's own reason. */
  rolloutBlocked: 'RolloutBlocked',
  /** A verification check is red. */
  checkFailed: 'CheckFailed',
  /** The outside system forbids it to this worker's credentials. */
  forbidden: 'Forbidden',
  /** The outside system says no, and will say so again. */
  rejectedBySystem: 'RejectedBySystem',
  /** The outside system does not answer, or answers that it cannot now. Trying again helps. */
  unreachable: 'Unreachable',
} as const;
export type FailureType = (typeof failureTypes)[keyof typeof failureTypes];
