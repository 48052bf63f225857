import { defineSearchAttributeKey } from '@temporalio/common';

/** Search attributes of every run. The worker registers them at start where it may. */
export const searchAttributes = {
  procedure: defineSearchAttributeKey('RollbackProcedure', 'KEYWORD'),
  targets: defineSearchAttributeKey('RollbackTargets', 'KEYWORD_LIST'),
  trigger: defineSearchAttributeKey('RollbackTrigger', 'KEYWORD'),
  cause: defineSearchAttributeKey('RollbackCause', 'KEYWORD'),
  phase: defineSearchAttributeKey('RollbackPhase', 'KEYWORD'),
  outcome: defineSearchAttributeKey('RollbackOutcome', 'KEYWORD'),
  requestedBy: defineSearchAttributeKey('RollbackRequestedBy', 'KEYWORD'),
  /** Seconds from the first step to the end. */
  seconds: defineSearchAttributeKey('RollbackSeconds', 'DOUBLE'),
} as const;
