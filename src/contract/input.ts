/**
 * What each procedure takes: one flat JSON object with few required fields. The CLI's flags, the
 * worker's validation and the messages for wrong input all come from these schemas.
 */
import { z } from 'zod';
import { durationMs, durationPattern } from './duration.ts';

const duration = z.string().regex(durationPattern, 'is not a duration such as 90s, 10m or 2h');

const line = (length: number) =>
  z
    .string()
    .trim()
    .min(1, 'is empty')
    .max(length, `is longer than ${length} characters`)
    .regex(/^\P{Cc}*$/u, 'has line breaks or control characters');

/** RFC 1123 subdomain, the rule for names of Kubernetes objects. */
export const objectName = z
  .string()
  .min(1, 'is empty')
  .max(253, 'is longer than 253 characters')
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'is not a Kubernetes name (lower-case letters, digits, - and .)',
  );

export const namespaceName = z
  .string()
  .min(1, 'is empty')
  .max(63, 'is longer than 63 characters')
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    'is not a Kubernetes namespace (lower-case letters, digits and -)',
  );

const common = {
  reason: line(1000).optional().describe('why, in a sentence, for the audit trail'),
  cause: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is not a short slug such as memory-leak')
    .optional()
    .describe('short slug of the cause, such as memory-leak, counted in statistics'),
  requestedBy: line(200).optional().describe('who asks for it'),
  trigger: z.enum(['manual', 'automatic']).default('manual').describe('what started the run'),
  dryRun: z.boolean().default(false).describe('show the plan and change nothing'),
  onFailure: z
    .enum(['pause', 'compensate'])
    .optional()
    .describe(
      'after a failed step: wait for a decision (pause, default for manual), ' +
        'or go back by itself where that is safe (compensate, default for automatic)',
    ),
  pace: z
    .enum(['auto', 'steady'])
    .default('auto')
    .describe('auto brings all pods up at once where there is room, steady keeps the strategy'),
  wait: duration
    .refine((text) => durationMs(text) <= durationMs('1d'), 'is longer than a day')
    .optional()
    .describe('how long to wait for a target that another run holds, at most 24h'),
  approvalTimeout: duration
    .optional()
    .describe('how long to wait for approvals (default: from the settings, 60m)'),
  decisionTimeout: duration
    .optional()
    .describe('how long a paused run waits before the next contact is told (default: 30m)'),
};

const deployment = z.strictObject({
  deployment: objectName.describe('name of the Deployment'),
  namespace: namespaceName.optional().describe('its namespace (default: from the settings)'),
  context: line(253).optional().describe('kubeconfig context (default: from the settings)'),
  toRevision: z
    .int()
    .min(1, 'must be 1 or more')
    .optional()
    .describe('revision to go back to (default: the previous one)'),
  unpause: z
    .boolean()
    .default(false)
    .describe('roll back a paused Deployment too: new template and resume in one change'),
  ...common,
});

/** Schema of every procedure's input, by the procedure's name in the CLI. */
export const inputs = { deployment };
export type Procedure = keyof typeof inputs;
export type InputOf<P extends Procedure> = z.output<(typeof inputs)[P]>;
export type CommonInput = Pick<InputOf<Procedure>, keyof typeof common>;

/**
 * Fields beside the common ones with which a run may start automatically: those that name the
 * service. Where it goes back to, and by which way, is nothing that a system decides.
 */
const automaticFields: Record<Procedure, readonly string[]> = {
  deployment: ['deployment', 'namespace'],
};

/** Workflow type of each procedure. */
export const workflowTypes = {
  deployment: 'rollbackDeployment',
} as const satisfies Record<Procedure, string>;

/** Workflow id of a run that was given none: `rollback-deployment-wakala-api-2025-01-10T14-30-00Z`. */
export function defaultWorkflowId(procedure: Procedure, target: string, now: Date): string {
  const time = now
    .toISOString()
    .replace(/\.(\d{3})Z$/, '-$1Z')
    .replaceAll(':', '-');
  return `rollback-${procedure}-${target}-${time}`;
}

/** An input that fails its schema; the message is one sentence that names the field. */
export class InvalidInputError extends Error {}

/**
 * Validates `input` for `procedure` and fills in defaults.
 * @throws {InvalidInputError} naming the first wrong field.
 */
export function parseInput<P extends Procedure>(procedure: P, input: unknown): InputOf<P> {
  const parsed = inputs[procedure].safeParse(input);
  if (parsed.success) {
    if (parsed.data.trigger === 'automatic') assertAutomatic(procedure, input as object);
    return parsed.data;
  }
  throw new InvalidInputError(sentenceOf(procedure, parsed.error.issues[0]));
}

function assertAutomatic(procedure: Procedure, input: object): void {
  const allowed = [...automaticFields[procedure], ...Object.keys(common)];
  const field = Object.keys(input).find((given) => !allowed.includes(given));
  if (field === undefined) return;
  throw new InvalidInputError(
    `Field "${field}" is for people: a run with trigger automatic takes ${automaticFields[procedure].join(', ')} and what all runs take.`,
  );
}

function sentenceOf(procedure: Procedure, issue: z.core.$ZodIssue | undefined): string {
  const fields = Object.keys(inputs[procedure].shape);
  if (!issue) return `The input of ${procedure} is invalid.`;
  if (issue.code === 'unrecognized_keys') {
    return `Unknown field "${issue.keys[0]}": ${procedure} takes ${fields.join(', ')}.`;
  }
  if (issue.path.length === 0) {
    return `The input of ${procedure} must be one JSON object such as {"deployment": "wakala-api"}.`;
  }
  const field = `Field "${issue.path.join('.')}"`;
  if (issue.code === 'invalid_type') {
    return /received undefined/.test(issue.message)
      ? `${field} is missing: ${procedure} needs it.`
      : `${field} is of the wrong type: ${issue.expected === 'int' ? 'a whole number' : issue.expected} is expected.`;
  }
  if (issue.code === 'invalid_value') {
    return `${field} must be one of ${issue.values.join(', ')}.`;
  }
  return `${field} ${issue.message}.`;
}
