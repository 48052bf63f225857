import { describe, expect, test } from '@jest/globals';
import { Command } from 'commander';
import { addInputFlags } from '../src/client/flags.ts';
import { durationMs } from '../src/contract/duration.ts';
import {
  defaultWorkflowId,
  procedures,
  InvalidInputError,
  parseInput,
  type Procedure,
} from '../src/contract/input.ts';

/** The sentence that a wrong input is turned away with. */
function sentence(input: unknown, procedure: Procedure = 'deployment'): string {
  try {
    parseInput(procedure, input);
  } catch (error) {
    if (error instanceof InvalidInputError) return error.message;
    throw error;
  }
  throw new Error(`${JSON.stringify(input)} was accepted.`);
}

const wrong = (field: string, value: unknown) => sentence({ deployment: 'api', [field]: value });

test('a database is called as databases are', () => {
  expect(parseInput('schema', { database: 's_plain', to: '1' }).database).toBe('s_plain');
  for (const database of ['_a', 'a/b', '__proto__', 'Shop', 'a b']) {
    expect(sentence({ database, to: '1' }, 'schema')).toContain(
      'is not a name of a database in the settings (lower-case letters, digits, -, _ and .)',
    );
  }
});

describe('a wrong input is told in one sentence that names the field', () => {
  test.each([
    ['deployment', 7, 'is of the wrong type: string is expected'],
    ['deployment', '', 'is empty'],
    ['deployment', 'team/api', 'is not a Kubernetes name'],
    ['deployment', 'api\n', 'is not a Kubernetes name'],
    ['deployment', 'api --all', 'is not a Kubernetes name'],
    ['deployment', '-n', 'is not a Kubernetes name'],
    ['deployment', 'Api', 'is not a Kubernetes name'],
    ['deployment', 'a'.repeat(254), 'is longer than 253 characters'],
    ['namespace', 'a.b', 'is not a Kubernetes namespace'],
    ['namespace', 'n'.repeat(64), 'is longer than 63 characters'],
    ['context', '', 'is empty'],
    ['toRevision', 0, 'must be 1 or more'],
    ['toRevision', -1, 'must be 1 or more'],
    ['toRevision', 1.5, 'is of the wrong type: a whole number is expected'],
    ['toRevision', '3', 'is of the wrong type: number is expected'],
    ['toRevision', null, 'is of the wrong type: number is expected'],
    ['unpause', 'yes', 'is of the wrong type: boolean is expected'],
    ['dryRun', 'true', 'is of the wrong type: boolean is expected'],
    ['reason', '   ', 'is empty'],
    ['reason', 'two\nlines', 'has line breaks or control characters'],
    ['reason', 'red \u001b[31m', 'has line breaks or control characters'],
    ['reason', 'r'.repeat(1001), 'is longer than 1000 characters'],
    ['cause', 'Memory leak', 'is not a short slug such as memory-leak'],
    ['requestedBy', '', 'is empty'],
    ['trigger', 'cron', 'must be one of manual, automatic'],
    ['onFailure', 'undo', 'must be one of pause, compensate'],
    ['pace', 'fast', 'must be one of auto, steady'],
    ['wait', '5 minuets', 'is not a duration such as 90s, 10m or 2h'],
    ['wait', '-5m', 'is not a duration such as 90s, 10m or 2h'],
    ['wait', 300, 'is of the wrong type: string is expected'],
  ])('%s: %j', (field, value, words) => {
    const told = wrong(field, value);
    expect(told).toContain(`Field "${field}" ${words}`);
    expect(told).toMatch(/^[^\n]+\.$/);
  });

  test('a missing field is said to be missing, not to have a type that it lacks', () => {
    expect(sentence({})).toBe('Field "deployment" is missing: deployment needs it.');
  });

  test('a misspelt field is not ignored, and the right ones are listed', () => {
    const told = wrong('torevision', 3);
    expect(told).toContain('Unknown field "torevision": deployment takes deployment, namespace,');
    for (const field of Object.keys(procedures.deployment.input.shape))
      expect(told).toContain(field);
  });

  test.each([[undefined], [null], ['api'], [['api']], [3]])('no object at all: %j', (input) => {
    expect(sentence(input)).toBe(
      'The input of deployment must be one JSON object such as {"deployment": "wakala-api"}.',
    );
  });
});

describe('what a system may not say is told as what it is', () => {
  const trigger = 'automatic';

  test('a procedure that needs what only people may say', () => {
    expect(sentence({ service: 'shop', trigger }, 'canary')).toBe(
      'A run of canary cannot be started with trigger automatic: it needs "service", which only people may say.',
    );
  });

  test('a field that is for people, where a run takes others, or none', () => {
    expect(sentence({ deployment: 'api', toRevision: 3, trigger })).toBe(
      'Field "toRevision" is for people: a run with trigger automatic takes deployment, namespace and what all runs take.',
    );
    expect(sentence({ flush: true, trigger }, 'cache')).toBe(
      'Field "flush" is for people: a run with trigger automatic takes only what all runs take.',
    );
  });
});

describe('a right input', () => {
  test('needs the name alone, and the rest is the careful choice', () => {
    expect(parseInput('deployment', { deployment: 'wakala-api' })).toEqual({
      deployment: 'wakala-api',
      trigger: 'manual',
      dryRun: false,
      unpause: false,
      regionOrder: 'wave',
      pace: 'auto',
    });
  });

  test('may be a name with dots and a reason in any script', () => {
    const input = { deployment: 'api.v1.example-2', reason: '  prix négatifs à 3 h du matin 🔥 ' };
    expect(parseInput('deployment', input).reason).toBe('prix négatifs à 3 h du matin 🔥');
  });
});

test.each([
  ['500ms', 500],
  ['90s', 90_000],
  ['10m', 600_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['0s', 0],
])('a wait of %s is as long as it says', (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

test.each(['', '5', 's', '1.5h', '10 m', '10M', '1h30m', '9999999s'])(
  'a duration of %j is never taken for some other length',
  (text) => {
    expect(durationMs(text)).toBeNaN();
    expect(wrong('wait', text)).toContain('Field "wait"');
  },
);

test('two runs of one moment have ids that tell procedure, target and time, in order', () => {
  const first = new Date('2025-01-10T14:30:00.007Z');
  const id = defaultWorkflowId('deployment', 'wakala-api', first);
  expect(id).toBe('rollback-deployment-wakala-api-2025-01-10T14-30-00-007Z');
  const next = defaultWorkflowId('deployment', 'wakala-api', new Date(first.getTime() + 1));
  expect(next > id).toBe(true);
});

test.each(Object.keys(procedures) as Procedure[])('the help of %s tells a default once', (name) => {
  const help = addInputFlags(new Command(), name).helpInformation();
  expect(help).not.toMatch(/\(default: [^)]*\)\s+\(default/);
});
