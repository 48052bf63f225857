/**
 * Histories of runs in every interesting state, kept from the day on which their workflow code was
 * released: runs that are in flight when a new version is deployed look like them.
 * KEEP_HISTORIES=1 makes those of today, beside the older ones (docs/changing-workflows.md).
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lane } from '../sandbox/chaos/lane.ts';
import { replay } from '../sandbox/chaos/replay.ts';
import { scenarios } from '../sandbox/chaos/scenarios.ts';
import { repository } from '../sandbox/setup/folders.mjs';
import { workflowBundle } from '../src/workers/workflow-bundle.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { silentLogger } from './support/silent-logger.ts';

const { History } = proto.temporal.api.history.v1;
const folder = join(import.meta.dirname, 'histories');
const kept = readdirSync(folder).filter((file) => file.endsWith('.json'));

test('runs that are in flight go on with today’s workflows', async () => {
  expect(kept.length).toBeGreaterThan(8);
  const histories = kept.map((file) => {
    const text = readFileSync(join(folder, file), 'utf8');
    const history = History.fromObject(JSON.parse(text) as Record<string, unknown>);
    // Its decisions are for the run of this id.
    const started = history.events[0]?.workflowExecutionStartedEventAttributes;
    return { workflowId: started?.workflowId ?? '', history };
  });
  const broken = await replay(await workflowBundle(silentLogger), histories);
  expect(broken).toEqual([]);
}, 240_000);

const keep = process.env.KEEP_HISTORIES === '1' ? describe : describe.skip;

function write(name: string, history: object): void {
  const readable = History.toObject(History.fromObject(history), {
    ...{ longs: String, enums: String, bytes: String },
  });
  const day = new Date().toISOString().slice(0, 10);
  // Stack traces say where the repository was.
  const text = JSON.stringify(readable).replaceAll(repository, '/app');
  writeFileSync(join(folder, `${day}-${name}.json`), `${text}\n`);
}

keep('histories of every procedure are kept', () => {
  let lane: Lane;
  beforeAll(async () => {
    lane = await Lane.open();
  });
  afterAll(() => lane.close());

  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    async (name, scenario) => {
      const { outcome } = await lane.play(scenario);
      expect(outcome).toBe(scenario.outcome);
      write(name.toLowerCase().replaceAll(/[^a-z]+/g, '-'), lane.lastHistory.history);
    },
  );
});

keep('histories of today are kept', () => {
  const [v1, v2, never] = ['wakala/api:1.0.0', 'wakala/api:2.0.0', 'wakala/api:1.0.0-broken'];
  const red = { health: { url: 'http://127.0.0.1:1/health', retries: 0 } };
  const env = useRollbackEnvironment({
    services: { red: { deployment: 'red', checks: red } },
    authority: {
      rules: [{ name: 'leads', when: { targets: ['*/lead'] }, need: { 'team-lead': 1 } }],
    },
  });

  async function save(state: string, workflowId: string): Promise<void> {
    const history = await env.client.workflow.getHandle(workflowId).fetchHistory();
    write(`deployment-${state}`, history);
  }

  beforeAll(async () => {
    for (const name of ['done', 'waiting', 'lead', 'red', 'held']) {
      await env.cluster.history(name, 1, v1, v2);
    }
    await env.cluster.kubectl('create', 'deployment', 'driven', `--image=${never}`);
    await env.cluster.release('driven', v2);
  });

  test('of runs that are over', async () => {
    const done = await env.start({ deployment: 'done' });
    await env.result(done);
    await save('rolled-back', done);
    const rejected = await env.start({ deployment: 'lead' });
    await env.untilWaiting(rejected);
    await env.decide(rejected, 'approve', 'cto');
    await env.decide(rejected, 'reject', 'team-lead', { note: 'not now' });
    await env.result(rejected);
    await save('rejected', rejected);
    const approved = await env.start({ deployment: 'lead' });
    await env.untilWaiting(approved);
    await env.decide(approved, 'approve', 'team-lead');
    await env.result(approved);
    await save('approved', approved);
    const dry = await env.start({ deployment: 'waiting', dryRun: true });
    await env.result(dry);
    await save('dry-run', dry);
  });

  test('of runs that wait', async () => {
    const waiting = await env.start({ deployment: 'waiting' }, undefined, 'nobody');
    await env.untilWaiting(waiting);
    await env.client.workflow.getHandle(waiting).signal('approve', { token: 'forged' });
    await eventually('it was refused', async () => (await env.status(waiting)).authority?.refused);
    await save('waiting', waiting);
    const owner = await env.occupy('held');
    const held = await env.start({ deployment: 'held', wait: '10m' });
    await eventually('it waits for the lock', async () =>
      (await env.status(held)).message.startsWith('Waiting: '),
    );
    await save('busy', held);
    await owner.free();
    await env.result(held);
  });

  test('of runs that are stopped at a step', async () => {
    const paused = await env.runUntilPaused({ deployment: 'red' });
    await save('paused', paused.workflowId);
    await env.decideStep(paused, 'retry');
    const again = await eventually('it is paused again', async () => {
      const status = await env.status(paused.workflowId);
      return status.pausedAt[0]?.attempt === 2 && status;
    });
    await env.abort(again);
    await save('aborted', paused.workflowId);
    const driven = await env.start({ deployment: 'driven' });
    await env.cluster.pods('driven', never);
    await eventually('the rollout is driven', async () =>
      (await env.status(driven)).steps.some(({ title }) => title === 'Wait for every replica'),
    );
    await save('mid-step', driven);
    await env.client.workflow.getHandle(driven).cancel();
    await env.result(driven);
    await save('cancelled', driven);
  });
});
