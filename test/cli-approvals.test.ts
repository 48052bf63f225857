import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { DecisionAnswer, DecisionMessage } from '../src/contract/decision.ts';
import { sendDecision } from '../src/client/send-decision.ts';
import { sealedPlanQuery, type SealedPlan } from '../src/contract/run.ts';
import { CommandLine } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { keyFileOf } from './support/people.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const env = useRollbackEnvironment({
  authority: {
    rules: [
      { name: 'leads', when: { targets: ['deployment/*/lead-*'] }, need: { 'team-lead': 1 } },
    ],
  },
});
let cli: CommandLine;
let lead: CommandLine;

beforeAll(() => {
  cli = new CommandLine({
    TEMPORAL_ADDRESS: env.temporal.address,
    TEMPORAL_NAMESPACE: 'default',
    ROLLBACK_CONFIG: env.settingsFile,
  });
  lead = cli.with({ ROLLBACK_KEY: keyFileOf('team-lead') });
});

/** A run that the on-call engineer has started by the CLI, and that waits for a lead. */
async function waitingRun(name: string, ...flags: string[]): Promise<string> {
  await env.cluster.history(name, 1, v1, v2);
  const { stdout } = await cli.run(
    ...['deployment', name, '-n', env.cluster.namespace, '--detach', ...flags],
  );
  await env.untilWaiting(stdout);
  return stdout;
}

describe('rollback approve', () => {
  test('shows what would be done, and does nothing before it is told to', async () => {
    const id = await waitingRun('lead-asked', '--reason', 'errors since 2.0.0');
    const digest = (await env.status(id)).plan?.digest.slice(0, 12);

    const asked = await lead.run('approve', id);

    expect(asked.exitCode).toBe(2);
    expect(asked.stdout).toContain(`${v2} -> ${v1}`);
    expect(asked.stdout).toContain(`Digest ${digest}`);
    expect(asked.stdout).toContain('Needs the approval of 1 team-lead (leads)');
    expect(asked.stdout).toContain(
      'Made and sealed by a worker of yours; on-call signed the start',
    );
    expect(asked.stderr).toContain('add --yes');
    expect((await env.status(id)).phase).toBe('awaiting-approval');

    const own = await cli.run('approve', id, '--yes');
    expect(own.exitCode).toBe(2);
    expect(own.stdout).toContain('on-call asked for this run, so somebody else must approve it');

    const { exitCode, stdout } = await lead.run('approve', id, '--yes', '--note', 'go');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/\nteam-lead approved; nothing is missing any more\.$/);
    const watched = await cli.run('watch', id);
    expect(watched.exitCode).toBe(0);
    expect(watched.stdout).toContain('team-lead approved');

    const late = await lead.run('approve', id, '--yes');
    expect(late).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('has ended') });
  });

  test('prints a message for the Temporal UI, which counts there', async () => {
    const id = await waitingRun('lead-pasted');
    const printed = await lead.run('approve', id, '--print');
    const message = JSON.parse(printed.stdout) as DecisionMessage;
    expect(printed.stderr).toContain(`${v2} -> ${v1}`);
    expect(await env.cluster.image('lead-pasted')).toBe(v2);

    await env.client.workflow.getHandle(id).signal('approve', message);

    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('counts for somebody who has just made a key and was given the role', async () => {
    const id = await waitingRun('lead-new');
    const file = join(mkdtempSync(join(tmpdir(), 'keys-')), 'me.jwk');
    const made = await cli.run('keygen', 'nia@example.com', '--out', file);
    expect(made.exitCode).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { d } = JSON.parse(readFileSync(file, 'utf8')) as { d: string };
    expect(made.stdout + made.stderr).not.toContain(d);
    expect((await cli.run('keygen', 'nia@example.com', '--out', file)).exitCode).toBe(2);
    const nia = cli.with({ ROLLBACK_KEY: file });
    expect((await nia.run('approve', id, '--yes')).stdout).toContain(
      'it is not in the people file',
    );

    const peopleFile = join(dirname(env.settingsFile), 'people.yaml');
    const known = parse(readFileSync(peopleFile, 'utf8')) as { people: object };
    const entry = (parse(made.stdout) as { people: Record<string, object> }).people;
    const people = {
      ...known.people,
      'nia@example.com': { ...entry['nia@example.com'], roles: ['team-lead'] },
    };
    writeFileSync(peopleFile, stringify({ ...known, people }));

    const [answer] = await nia.json<DecisionAnswer>('approve', id, '--yes');
    expect(answer).toEqual({
      ...{ counted: true, text: 'nia@example.com approved; nothing is missing any more.' },
    });
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('waits with the run where no worker is there to say whether it counts', async () => {
    const id = await waitingRun('lead-alone');
    await env.stopWorker();

    const { exitCode, stdout } = await lead.run('approve', id, '--yes');

    expect(exitCode).toBe(5);
    expect(stdout).toContain(`${v2} -> ${v1}`);
    expect(stdout).toContain('No worker answers, so whether it counts is not known yet.');
    await env.startWorker();
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('refuses a key that others can read, with what mends it', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'keys-')), 'open.jwk');
    copyFileSync(keyFileOf('team-lead'), file);
    chmodSync(file, 0o644);
    for (const command of [
      ['approve', 'any', '--yes'],
      ['deployment', 'any', '--detach'],
    ]) {
      const { exitCode, stderr } = await cli.run(...command, '--key', file);
      expect({ exitCode, stderr }).toEqual({
        exitCode: 2,
        stderr: expect.stringContaining(`chmod 600 ${file}`),
      });
    }
  });

  test('does not sign a plan that no worker of ours has made, whatever the run says', async () => {
    const id = await waitingRun('lead-shown');
    const handle = env.client.workflow.getHandle(id);
    const { plan } = await handle.query<SealedPlan>(sealedPlanQuery);
    // Whoever has no settings can tell the digest, but not whose words these are.
    const nowhere = lead.with({ ROLLBACK_CONFIG: '/nowhere/rollback.yaml' });
    const refused = await nowhere.run('approve', id, '--yes');
    expect(refused).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--unchecked') });
    const peopleFile = join(dirname(env.settingsFile), 'people.yaml');
    const known = readFileSync(peopleFile, 'utf8');
    const { people } = parse(known) as { people: object };
    writeFileSync(peopleFile, stringify({ people, workers: [] }));
    const unsealed = await lead.run('approve', id, '--yes');
    writeFileSync(peopleFile, known);
    expect(unsealed.exitCode).toBe(2);
    expect(unsealed.stderr).toContain('No worker of yours made this plan: do not approve it.');

    const unchecked = await nowhere.run('approve', id, '--yes', '--unchecked');
    expect(unchecked.stdout).toContain('Nobody has checked that a worker of yours made this plan.');
    expect(unchecked.stdout).toContain(plan.digest.slice(0, 12));
    expect(unchecked.exitCode).toBe(0);
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });
});

describe('rollback reject', () => {
  test('says why, and ends the run with the exit code of a rejection', async () => {
    const id = await waitingRun('lead-rejected');
    const silent = await lead.run('reject', id, '--yes');
    expect(silent).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--note') });

    const { exitCode } = await lead.run('reject', id, '--yes', '--note', 'a fix is on its way');
    expect(exitCode).toBe(0);
    const watched = await cli.run('watch', id);
    expect(watched.exitCode).toBe(3);
    expect(watched.stdout).toContain('team-lead rejected it: a fix is on its way');
    expect(await env.cluster.image('lead-rejected')).toBe(v2);
  });

  test('that comes as the run ends is told where to look, and in no words of Temporal', async () => {
    const id = await waitingRun('lead-raced');
    const { token } = JSON.parse(
      (await lead.run('reject', id, '--note', 'no', '--print')).stdout,
    ) as DecisionMessage;
    const message = { decision: 'reject', token } as const;
    await sendDecision(env, id, message);
    await env.result(id);

    const late = await sendDecision(env, id, message);

    const text = `Run ${id} has ended meanwhile: see rollback status ${id}.`;
    expect(late).toEqual({ counted: false, text });
  });
});

test('rollback list --waiting says what is missing, and how whoever is missing decides', async () => {
  const id = await waitingRun('lead-listed');
  const found = await eventually('the run is listed', async () => {
    const { stdout } = await lead.run('list', '--waiting');
    return stdout.includes(id) ? stdout : undefined;
  });
  expect(found).toContain(`deployment/${env.cluster.namespace}/lead-listed  asked for by on-call`);
  expect(found).toContain('missing: 1 team-lead');
  expect(found).toContain(`rollback approve ${id}`);
  await lead.run('reject', id, '--yes', '--note', 'seen');
  await env.result(id);
  await eventually('it is listed no more', async () => {
    return !(await lead.run('list', '--waiting')).stdout.includes(id);
  });
});

test('what somebody else writes into a run cannot draw on the terminal of whoever decides', async () => {
  await env.cluster.history('painted', 1, v1, v2);
  const escape = '\u001b]0;owned\u0007\u001b[2J\u202e';
  const id = `run ; touch ${escape}`;
  await env.start({ deployment: 'painted', requestedBy: 'mallory' }, id, 'nobody');
  await env.untilWaiting(id);
  await env.client.workflow.getHandle(id).signal('approve', { token: escape, by: escape });
  const forged = await env.token(id, 'approve', 'on-call', { sub: escape });
  await env.send(id, { decision: 'approve', token: forged });

  const outputs = [
    await cli.run('status', id),
    await eventually('the run is listed', async () => {
      const found = await cli.run('list', '--waiting');
      return found.stdout.includes("rollback approve 'run ; touch ") && found;
    }),
    await cli.run('approve', id, '--yes'),
  ];

  for (const { stdout, stderr } of outputs) {
    // eslint-disable-next-line no-control-regex
    expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  }
  expect((await env.result(id)).outcome).toBe('rolled-back');
});

test('a start does not follow a run that somebody else has begun under its id', async () => {
  await env.cluster.history('claimed', 1, v1, v2);
  await env.cluster.history('meant', 1, v1, v2);
  await env.start({ deployment: 'claimed' }, 'the-night', 'nobody');

  const { exitCode, stderr } = await cli.run(
    ...['deployment', 'meant', '-n', env.cluster.namespace, '--id', 'the-night'],
  );

  expect({ exitCode, stderr }).toEqual({
    exitCode: 2,
    stderr: expect.stringContaining('it was started with another input'),
  });
  await env.untilWaiting('the-night');
  await env.decide('the-night', 'reject', 'on-call', { note: 'not mine' });
});

describe('rollback doctor', () => {
  interface Finding {
    what: string;
    ok: boolean;
    text: string;
  }
  async function finding(what: string, caller = cli): Promise<Finding | undefined> {
    const [findings] = await caller.json<Finding[]>('doctor');
    return findings?.find((one) => one.what === what);
  }

  test('knows whether people, the caller’s key and the worker’s key are of use', async () => {
    expect(await finding('people')).toMatchObject({ ok: true });
    expect(await finding('your key')).toMatchObject({ ok: true, text: 'on-call, on-call' });
    expect(await finding('worker key')).toMatchObject({ ok: true });
    const stranger = cli.with({ ROLLBACK_KEY: keyFileOf('worker') });
    expect(await finding('your key', stranger)).toMatchObject({
      ...{ ok: false, text: expect.stringContaining('it is not in the people file') },
    });
  });

  test('says which rule nobody could fulfil', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'empty-'));
    const file = join(folder, 'rollback.yaml');
    writeFileSync(file, stringify({ authority: { rules: [{ name: 'both', need: { cto: 2 } }] } }));
    copyFileSync(join(dirname(env.settingsFile), 'people.yaml'), join(folder, 'people.yaml'));
    expect(await finding('people', cli.with({ ROLLBACK_CONFIG: file }))).toMatchObject({
      ...{ ok: false, text: expect.stringContaining('Rule "both" needs 2 with role cto') },
    });
    appendFileSync(join(folder, 'people.yaml'), '\nnonsense: true\n');
    expect(await finding('people', cli.with({ ROLLBACK_CONFIG: file }))).toMatchObject({
      ...{ ok: false, text: expect.stringContaining('nonsense') },
    });
  });
});
