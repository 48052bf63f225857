/** Whose approval a plan needs, and who has given it. */
import type { PlannedCheck } from './plan.ts';

/** What rules look at: the kinds and targets of a plan's changes, and where they take effect. */
export interface Scope {
  changes: { kind: string; target: string }[];
  /** Regions of the plan's targets, and those in which the same services were changed of late. */
  regions: string[];
}

/** What one rule asks for. */
export interface Need {
  /** Name of the rule in the settings. */
  rule: string;
  /** One of these roles. */
  roles: string[];
  /** This many people. */
  count: number;
  /** Why, in words. */
  why: string;
}

export interface NeedStatus extends Need {
  /** How many of `count` are filled, and by whom. */
  filled: number;
  by: string[];
  /** Whether people of another role stood in. */
  breakGlass: boolean;
}

/** Name of the rule that every run falls under: somebody who may must have started it. */
export const startRule = 'start';

/** How the start was authorized, as the worker that planned found out. */
export type StartAuthority =
  /** Signed by a person; `kid` names the key. */
  | { kind: 'signed'; by: string; kid: string }
  /** As above, but the world has changed since the first plan, so the new one needs a look. */
  | { kind: 'replanned'; by: string }
  /** Started by a system, and the worker has measured that it may. */
  | { kind: 'automatic'; text: string }
  /** Unsigned, where settings trust the server's own authentication. */
  | { kind: 'trusted'; text: string }
  /** `why` says what is missing. */
  | { kind: 'unsigned'; why: string };

/** Claims of a worker's seal: a plan that an honest worker made, and what it saw. */
export interface SealClaims {
  aud: string;
  run: string;
  digest: string;
  /** Run id of the execution that it was made for: a reset makes another, which plans anew. */
  execution: string;
  /** Checks of the plan, so that no other is run in its name. */
  checks: PlannedCheck[];
  /** SHA-256 over the whole canonical plan, the words for people included. */
  plan: string;
  scope: Scope;
  start: StartAuthority;
  iat: number;
  /** Effects may begin until then. */
  executeBy: number;
}

/** Where a plan stands with its approvals. */
export interface Assessment {
  granted: boolean;
  /** Who counts as having asked for the run; null while nobody has proved it. */
  requester: string | null;
  needs: NeedStatus[];
  /** What is missing, in words; empty where nothing is. */
  missing: string;
  /** Roles that can give what is missing. */
  missingRoles: string[];
  /** Whether somebody of another role stood in for one who does not answer. */
  breakGlass: boolean;
}

/** A decision as status, result and audit show it; the token itself is not told again. */
export interface DecisionRecord {
  decision: string;
  /** The person who signed; for what did not count, whom it claims to be from. */
  by: string;
  at: string;
  counted: boolean;
  text: string;
  note?: string;
}

/** Part of a run's status. */
export interface AuthorityStatus extends Assessment {
  start: StartAuthority;
  /** What counted, and the first few that did not. */
  decisions: DecisionRecord[];
  /** How many messages did not count. */
  refused: number;
  /** ISO time at which the wait ends; only while waiting. */
  waitsUntil?: string;
}

/** A public key as workflows know it: enough to turn a forged decision away. */
export interface KnownKey {
  kid: string;
  /** The 32 bytes of an Ed25519 public key in base64url, as in a JWK. */
  x: string;
}

/** What planning tells the run about the wait for approvals. Times are milliseconds. */
export interface WaitSettings {
  approvalTimeoutMs: number;
  /** After so long without a decision about a paused step, the next contact is told. */
  decisionTimeoutMs: number;
  /** How many contacts there are after the first. */
  furtherContacts: number;
  /** When those who are missing are told again, counted from the beginning of the wait. */
  remindAfterMs: number[];
  /** How long a region's own queue may be without a worker before a step pauses; not in older plans. */
  workerMissingAfterMs?: number;
}
