/** The flags of a procedure's command, made from the schema of its input. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { inputs, type Procedure } from '../contract/input.ts';

interface FieldSchema {
  type?: string;
  enum?: string[];
  description?: string;
  default?: string | number | boolean;
}

const shortFlags: Record<string, string> = { namespace: '-n' };

const known = new Map<Procedure, Record<string, FieldSchema>>();

function fieldsOf(procedure: Procedure): Record<string, FieldSchema> {
  let fields = known.get(procedure);
  if (!fields) {
    const schema = z.toJSONSchema(inputs[procedure], { io: 'input' });
    fields = (schema.properties ?? {}) as Record<string, FieldSchema>;
    known.set(procedure, fields);
  }
  return fields;
}

/** Adds a flag for every field of the input but `positional`, which is the command's argument. */
export function addInputFlags(command: Command, procedure: Procedure, positional: string): Command {
  for (const [field, schema] of Object.entries(fieldsOf(procedure))) {
    if (field === positional) continue;
    const flag = `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const names = [shortFlags[field], flag].filter(Boolean).join(', ');
    const shown =
      schema.default === undefined || schema.type === 'boolean'
        ? ''
        : ` (default: ${String(schema.default)})`;
    const words = `${schema.description ?? ''}${shown}`;
    if (schema.type === 'boolean') command.addOption(new Option(names, words));
    else if (schema.enum)
      command.addOption(new Option(`${names} <word>`, words).choices(schema.enum));
    else if (schema.type === 'integer') {
      command.addOption(new Option(`${names} <number>`, words).argParser(wholeNumber));
    } else command.addOption(new Option(`${names} <text>`, words));
  }
  return command;
}

/** The input that the flags say: only fields that were given, so that defaults stay in one place. */
export function inputOf(
  procedure: Procedure,
  options: Record<string, unknown>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(fieldsOf(procedure))
      .filter((field) => options[field] !== undefined)
      .map((field) => [field, options[field]]),
  );
}

export function positiveNumber(text: string): number {
  const number = wholeNumber(text);
  if (number < 1) throw new InvalidArgumentError('It must be 1 or more.');
  return number;
}

function wholeNumber(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}
