/**
 * Takes the documents' pictures from a running sandbox: starts a rollback in the Temporal UI's own
 * form, as a person would, confirms it there with a printed decision, and photographs each. Then
 * terminates another one halfway, and resets it there.
 *
 *     WAKALA_READY_MS=8000 npm run sandbox -- up --worker
 *     eval "$(npm run -s sandbox -- env)"
 *     kubectl set image deployment/wakala-api '*=wakala/api:2.0.0-bad'
 *     node_modules/.bin/node docs/take-pictures.ts [CHROMIUM]
 */
import { join } from 'node:path';
import { execa } from 'execa';
import { chromium } from 'playwright-core';

const ui = process.env.TEMPORAL_UI_URL;
if (!ui) throw new Error('TEMPORAL_UI_URL is not set: eval "$(npm run -s sandbox -- env)" first.');
const workflowId = `from-the-ui-${Date.now()}`;

const browser = await chromium.launch({
  executablePath: process.argv[2] ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  // Markdown is shown in frames of its own.
  const details = page.locator('iframe').last().contentFrame();
  const photograph = (what: string) =>
    page.screenshot({ path: join(import.meta.dirname, `temporal-ui-${what}.png`) });
  await page.goto(`${ui}/namespaces/default/workflows/start-workflow`);
  await page.locator('#workflowId').fill(workflowId);
  await page.locator('#taskQueue').fill('rollback');
  await page.locator('#workflowType').fill('rollbackDeployment');
  await page.locator('.cm-content').first().click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText('{"deployment": "wakala-api"}');
  // Leaving the editor formats its text and moves the button.
  await page.getByRole('heading', { name: 'Start a Workflow' }).click();
  await photograph('start');
  await page.getByRole('button', { name: 'Start Workflow' }).click();
  await page.getByText('Workflow started', { exact: false }).first().waitFor();
  const run = `${ui}/namespaces/default/workflows/${workflowId}`;
  await page.goto(run);
  // The timer of the wait is the last that a waiting run starts.
  await page.getByText('approval, or a reminder').first().waitFor();
  // What the page has read before is not read again by itself.
  await page.reload();
  await page.getByRole('tab', { name: 'User Metadata' }).click();
  await details.getByText('Look and decide').waitFor();
  await photograph('waiting');

  const { stdout: message } = await execa('rollback', ['approve', workflowId, '--print']);
  await page.getByRole('button', { name: 'More Actions' }).click();
  await page.getByRole('menuitem', { name: 'Send an Update' }).click();
  await page.getByRole('button', { name: 'Select an Update' }).click();
  await page.getByRole('option', { name: 'decide' }).first().click();
  await page.locator('.cm-content[contenteditable=true]:visible').last().click();
  await page.keyboard.insertText(message);
  await page.locator('#update-id:visible').last().click();
  await photograph('approve');
  await page.getByRole('button', { name: 'Submit' }).click();
  await page.getByText('Update successful').first().waitFor();

  await page.goto(run);
  await page.getByText('Wait for every replica').first().waitFor();
  await photograph('run');
  await page.reload();
  await page.getByRole('tab', { name: 'User Metadata' }).click();
  await details.getByText('Restore the pod template').first().waitFor();
  await photograph('details');

  await execa('rollback', ['watch', workflowId]);
  const cutOff = await terminatedHalfway();
  await page.goto(`${ui}/namespaces/default/workflows/${cutOff}`);
  await page.getByText('Terminated').first().waitFor();
  await page.getByRole('button', { name: 'Reset' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Reset Workflow' });
  await dialog.getByTestId('workflow-reset-event-id-select-button').click();
  await page.getByRole('option', { name: 'WorkflowTaskCompleted' }).last().click();
  await dialog.getByTestId('reset-reason').fill('was terminated by mistake');
  await photograph('reset');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await execa('rollback', ['watch', cutOff]);
  await page.goto(`${ui}/namespaces/default/workflows/${cutOff}`);
  await page.getByText('Completed').first().waitFor();
  await photograph('after-reset');
} finally {
  await browser.close();
}

/** Starts a rollback, and terminates it while the new pods get ready; answers its id. */
async function terminatedHalfway(): Promise<string> {
  const id = `terminated-by-mistake-${Date.now()}`;
  await execa('kubectl', ['set', 'image', 'deployment/wakala-api', '*=wakala/api:2.1.0-bad']);
  await execa('kubectl', ['rollout', 'status', 'deployment/wakala-api']);
  await execa('rollback', ['deployment', 'wakala-api', '--id', id, '--detach']);
  for (;;) {
    const { stdout } = await execa('rollback', ['status', id]);
    if (stdout.includes('Wait for every replica')) break;
  }
  await execa('temporal', ['workflow', 'terminate', '--workflow-id', id, '--reason', 'by mistake']);
  return id;
}
