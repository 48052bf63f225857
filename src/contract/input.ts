/**
 * What each procedure takes. The CLI's flags, the worker's validation and the messages for wrong
 * input all come from the schemas in `input/`.
 */
import type { z } from 'zod';
import { blueGreen } from './input/blue-green.ts';
import { cache } from './input/cache.ts';
import { canary } from './input/canary.ts';
import { database } from './input/database.ts';
import { deployment } from './input/deployment.ts';
import { featureOff } from './input/feature.ts';
import { common, type overRegions } from './input/fields.ts';
import { helm } from './input/helm.ts';
import { release } from './input/release.ts';
import { circuitBreaker } from './input/circuit-breaker.ts';
import { redirect } from './input/redirect.ts';
import { schema } from './input/schema.ts';
import { reduceFeature } from './input/reduce-feature.ts';
import { services } from './input/services.ts';
import { transactions } from './input/transactions.ts';
import { statefulSet } from './input/stateful-set.ts';

export {
  databaseKey,
  hostName,
  labelKey,
  labelValue,
  namespaceName,
  objectName,
  portNumber,
  releaseName,
} from './input/fields.ts';

/** Every procedure, by its name in the CLI. */
export const procedures = {
  deployment,
  services,
  'blue-green': blueGreen,
  canary,
  release,
  'circuit-breaker': circuitBreaker,
  redirect,
  statefulset: statefulSet,
  helm,
  schema,
  database,
  transactions,
  feature: featureOff,
  'reduce-feature': reduceFeature,
  cache,
} as const;
export type Procedure = keyof typeof procedures;
export type InputOf<P extends Procedure> = z.output<(typeof procedures)[P]['input']>;
export type CommonInput = Pick<InputOf<'deployment'>, keyof typeof common> &
  Partial<Pick<InputOf<'deployment'>, keyof typeof overRegions>>;

/** Words that name what a run is about, from its input: `wakala-api`, or `api+worker`. */
export function subjectOf(procedure: Procedure, input: Record<string, unknown>): string {
  const value = input[procedures[procedure].argument];
  if (Array.isArray(value)) return value.filter((name) => typeof name === 'string').join('+');
  return typeof value === 'string' ? value : '';
}

/** Workflow id of a run that was given none: `rollback-deployment-wakala-api-2025-01-10T14-30-00Z`. */
export function defaultWorkflowId(procedure: Procedure, subject: string, now: Date): string {
  const time = now
    .toISOString()
    .replace(/\.(\d{3})Z$/, '-$1Z')
    .replaceAll(':', '-');
  const words = subject.slice(0, 200).replaceAll('/', '-');
  return ['rollback', procedure, words, time].filter(Boolean).join('-');
}

/** An input that fails its schema; the message is one sentence that names the field. */
export class InvalidInputError extends Error {}

/** A field as messages name it. */
type NameOf = (field: string) => string;
const quoted: NameOf = (field) => `Field "${field}"`;

/**
 * Validates `input` for `procedure` and fills in defaults.
 * @param nameOf what messages call a field, for who gives it in another way than as JSON
 * @throws {InvalidInputError} naming the first wrong field.
 */
export function parseInput<P extends Procedure>(
  procedure: P,
  input: unknown,
  nameOf: NameOf = quoted,
): InputOf<P> {
  const parsed = procedures[procedure].input.safeParse(input);
  if (parsed.success) {
    if (parsed.data.trigger === 'automatic') assertAutomatic(procedure, input as object, nameOf);
    return parsed.data as InputOf<P>;
  }
  throw new InvalidInputError(sentenceOf(procedure, parsed.error.issues[0], nameOf));
}

function assertAutomatic(procedure: Procedure, input: object, nameOf: NameOf): void {
  const { automatic, input: schema } = procedures[procedure];
  const allowed: string[] = [...automatic, ...Object.keys(common)];
  const field = Object.keys(input).find((given) => !allowed.includes(given));
  if (field === undefined) return;
  const fields = Object.entries<z.ZodType>(schema.shape);
  const needed = fields.find(([name, one]) => !one.isOptional() && !allowed.includes(name));
  if (needed) {
    throw new InvalidInputError(
      `A run of ${procedure} cannot be started with trigger automatic: it needs "${needed[0]}", which only people may say.`,
    );
  }
  const takes = automatic.length === 0 ? 'only' : `${automatic.join(', ')} and`;
  throw new InvalidInputError(
    `${nameOf(field)} is for people: a run with trigger automatic takes ${takes} what all runs take.`,
  );
}

function sentenceOf(
  procedure: Procedure,
  issue: z.core.$ZodIssue | undefined,
  nameOf: NameOf,
): string {
  const { input, example } = procedures[procedure];
  const fields = Object.keys(input.shape);
  if (!issue) return `The input of ${procedure} is invalid.`;
  if (issue.code === 'unrecognized_keys') {
    return `Unknown field "${issue.keys[0]}": ${procedure} takes ${fields.join(', ')}.`;
  }
  if (issue.path.length === 0) {
    const shown = JSON.stringify(example).replaceAll('":', '": ').replaceAll(',"', ', "');
    return `The input of ${procedure} must be one JSON object such as ${shown}.`;
  }
  const field = nameOf(issue.path.join('.'));
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
