import { ApplicationFailure } from '@temporalio/workflow';
import { kubernetes } from '../../src/workflows/run/proxies.ts';
import { runbook } from '../../src/workflows/run/runbook.ts';

/**
 * A procedure of three steps with an undo each, which change nothing and say when they were taken
 * back. The third fails, and so do the first tries to undo the steps that the reason names. For the reason
 * `lasting`, there is no way back from the second, and it has changed something.
 */
export const rollbackDeployment = runbook('deployment', {
  plan: (...request) => kubernetes.planDeploymentRollback(...request),

  async steps(run, { reason }) {
    const stuck = new Set(reason?.split(' '));
    let taken = 0;
    for (const title of ['first', 'second', 'third']) {
      if (title === 'second' && reason === 'lasting') {
        await run.step(title, {
          do: () => Promise.resolve({ changed: true, text: 'The second was done.' }),
          noWayBack: 'nobody knows one',
        });
        continue;
      }
      await run.step(title, {
        do: () => (title === 'third' ? fail('the third never works') : Promise.resolve('done')),
        undo: () =>
          stuck.delete(title)
            ? fail(`the ${title} cannot be taken back yet`)
            : Promise.resolve(`taken back as number ${++taken}`),
      });
    }
  },

  byHand: () => ['Do it by hand.'],
});

function fail(why: string): Promise<never> {
  return Promise.reject(ApplicationFailure.nonRetryable(why));
}
