/** The flags of a procedure's command, made from the schema of its input. */
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { type Procedure, procedures } from '../contract/input.ts';

interface FieldSchema {
  type?: string;
  enum?: string[];
  items?: FieldSchema;
  description?: string;
  default?: string | number | boolean;
}

export const keyFile = () =>
  new Option(
    '--key <file>',
    'your private key, which signs (default: the one that ROLLBACK_KEY names)',
  );
export const json = () =>
  new Option('--json', 'print JSON: one document, or lines of it while following');

const shortFlags: Record<string, string> = { namespace: '-n' };

const known = new Map<Procedure, Record<string, FieldSchema>>();

function fieldsOf(procedure: Procedure): Record<string, FieldSchema> {
  let fields = known.get(procedure);
  if (!fields) {
    const schema = z.toJSONSchema(procedures[procedure].input, { io: 'input' });
    fields = (schema.properties ?? {}) as Record<string, FieldSchema>;
    known.set(procedure, fields);
  }
  return fields;
}

/** Adds the procedure's argument, and a flag for every other field of its input. */
export function addInputFlags(command: Command, procedure: Procedure): Command {
  const { argument } = procedures[procedure];
  const argumentSchema = fieldsOf(procedure)[argument];
  if (argumentSchema) command.addArgument(argumentOf(argument, argumentSchema));
  const fields = Object.keys(fieldsOf(procedure)).filter((field) => field !== argument);
  return addFlags(command, procedure, fields);
}

/** Adds flags for the fields that a procedure takes beside those of another. */
export function addFurtherFlags(command: Command, procedure: Procedure, to: Procedure): Command {
  return addFlags(command, procedure, furtherFields(procedure, to));
}

/** Fields that a procedure takes, and another one does not. */
export function furtherFields(procedure: Procedure, to: Procedure): string[] {
  const known = Object.keys(fieldsOf(to));
  return Object.keys(fieldsOf(procedure)).filter((field) => !known.includes(field));
}

/** A field as the CLI has it: `--to-revision`. */
export function flagOf(field: string): string {
  return `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** A field, or an item of one, as it is given on the command line: `NAME` or `--to-revision`. */
export function inputName(procedure: Procedure, path: string): string {
  const [field = ''] = path.split('.');
  if (field !== procedures[procedure].argument) return flagOf(field);
  const { type, enum: words } = fieldsOf(procedure)[field] ?? {};
  return words?.join('|') ?? (type === 'array' ? 'NAME...' : 'NAME');
}

function addFlags(command: Command, procedure: Procedure, fields: readonly string[]): Command {
  for (const [field, schema] of Object.entries(fieldsOf(procedure))) {
    if (!fields.includes(field)) continue;
    const names = [shortFlags[field], flagOf(field)].filter(Boolean).join(', ');
    const shown =
      schema.default === undefined || ['boolean', 'array'].includes(schema.type ?? '')
        ? ''
        : ` (default: ${String(schema.default)})`;
    const words = `${schema.description ?? ''}${shown}`;
    if (schema.type === 'boolean') command.addOption(new Option(names, words));
    else if (schema.enum)
      command.addOption(new Option(`${names} <word>`, words).choices(schema.enum));
    else if (schema.type === 'integer') {
      command.addOption(new Option(`${names} <number>`, words).argParser(wholeNumber));
    } else if (schema.type === 'number') {
      command.addOption(new Option(`${names} <number>`, words).argParser(anyNumber));
    } else if (schema.type === 'array' && schema.items?.type === 'integer') {
      command.addOption(new Option(`${names} <numbers>`, words).argParser(wholeNumbers));
    } else if (schema.type === 'array') {
      command.addOption(new Option(`${names} <names>`, `${words}, with commas`).argParser(listOf));
    } else command.addOption(new Option(`${names} <text>`, words));
  }
  return command;
}

/** Never demanded by the command itself: the input may come from a file. */
function argumentOf(field: string, { type, enum: words, description }: FieldSchema): Argument {
  const name = type === 'array' ? `[${field}...]` : `[${words?.join('|') ?? 'name'}]`;
  const argument = new Argument(name, description);
  return words ? argument.choices(words) : argument;
}

/**
 * The input that argument and flags say: only fields that were given, so that defaults stay in one
 * place.
 */
export function inputOf(
  procedure: Procedure,
  argument: string | string[] | undefined,
  options: Record<string, unknown>,
): Record<string, unknown> {
  const given: Record<string, unknown> = {
    ...options,
    [procedures[procedure].argument]: argument,
  };
  return Object.fromEntries(
    Object.keys(fieldsOf(procedure))
      .filter((field) => given[field] !== undefined && !isEmptyList(given[field]))
      .map((field) => [field, given[field]]),
  );
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function listOf(text: string): string[] {
  return text.split(',').map((item) => item.trim());
}

/** A workflow id that a run could have. */
export function runId(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It is empty: see rollback list.');
  return text;
}

export function positiveNumber(text: string): number {
  const number = wholeNumber(text);
  if (number < 1) throw new InvalidArgumentError('It must be 1 or more.');
  return number;
}

function anyNumber(text: string): number {
  if (!/^-?\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('It must be a number.');
  return Number(text);
}

function wholeNumber(text: string): number {
  if (!isWhole(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function wholeNumbers(text: string): number[] {
  const items = listOf(text);
  const wrong = items.find((item) => !isWhole(item));
  if (wrong === undefined) return items.map(Number);
  throw new InvalidArgumentError(
    `Its item "${wrong}" is no whole number: give whole numbers with commas between them, such as 50,10,0.`,
  );
}

function isWhole(text: string): boolean {
  return /^-?\d+$/.test(text);
}
