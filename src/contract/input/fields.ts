/** Fields of inputs: what they take, and what `--help` says about them. */
import { z } from 'zod';
import { durationMs, durationPattern } from '../duration.ts';

export const duration = z
  .string()
  .regex(durationPattern, 'is not a duration such as 90s, 10m or 2h');

/** One line of text. */
export const line = (length: number) =>
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

/** A region of the settings. */
const regionName = line(63);

/** A host as an Ingress has it; its first label may be `*`. */
export const hostName = z
  .string()
  .max(253, 'is longer than 253 characters')
  .regex(
    /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'is not a host such as api.example.com',
  );

export const portNumber = z.int().min(1, 'must be 1 or more').max(65_535, 'must be 65535 or less');

/** Key of a label, as in a Service's selector. */
export const labelKey = z
  .string()
  .max(317, 'is longer than 317 characters')
  .regex(
    /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/,
    'is not the key of a Kubernetes label',
  );

/** Value of a label; not empty. */
export const labelValue = z
  .string()
  .regex(/^[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/, 'is not the value of a Kubernetes label');

/** Helm's own rule for names of releases. */
export const releaseName = objectName.max(53, 'is longer than 53 characters');

/** A database's name in the settings. */
export const databaseKey = z
  .string()
  .min(1, 'is empty')
  .max(253, 'is longer than 253 characters')
  .regex(
    /^[a-z0-9]([-a-z0-9_.]*[a-z0-9_])?$/,
    'is not a name of a database in the settings (lower-case letters, digits, -, _ and .)',
  );

/** A database by its name in the settings. */
export const databaseName = databaseKey
  .optional()
  .describe('database, by its name in the settings (default: the only one there)');
/** Name of a feature flag, as the systems in use have them; a part of addresses and keys. */
export const featureName = z
  .string()
  .regex(
    /^[A-Za-z0-9_][\w.:@~-]{0,254}$/,
    'is not the name of a feature flag (letters, digits and _ . : @ ~ -)',
  );

/** A revision number of a history. */
export const revision = z.int().min(1, 'must be 1 or more');

/** Where a procedure on Kubernetes acts. */
export const place = {
  namespace: namespaceName.optional().describe('its namespace (default: from the settings)'),
  context: line(253).optional().describe('kubeconfig context (default: from the settings)'),
};

/** What every procedure takes. */
export const common = {
  reason: line(1000)
    .optional()
    .describe('why, in a sentence; people who approve see it, and it stays with the run'),
  cause: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is not a short slug such as memory-leak')
    .optional()
    .describe(
      'short slug of the cause, such as memory-leak, by which Temporal finds runs (RollbackCause)',
    ),
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

/** How a procedure on Kubernetes goes over regions, and over the pods in each. */
export const overRegions = {
  regions: z
    .array(regionName)
    .min(1, 'is empty')
    .optional()
    .describe('regions of the settings to roll back in, one after the other'),
  skipRegion: z.array(regionName).optional().describe('regions to leave out'),
  regionOrder: z
    .enum(['wave', 'together'])
    .default('wave')
    .describe('wave verifies each region before the next begins, together does all at once'),
  pace: z
    .enum(['auto', 'steady'])
    .default('auto')
    .describe('auto brings all pods up at once where there is room, steady keeps the strategy'),
};
