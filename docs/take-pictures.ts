/**
 * Takes the README's pictures from a running sandbox: starts a rollback in the Temporal UI's own
 * form, as a person would, and photographs the form and the run.
 *
 *     npm run sandbox -- up --worker
 *     eval "$(npm run -s sandbox -- env)"
 *     kubectl set image deployment/wakala-api '*=wakala/api:2.0.0-bad'
 *     node_modules/.bin/node docs/take-pictures.ts [CHROMIUM]
 */
import { join } from 'node:path';
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
  await page.goto(`${ui}/namespaces/default/workflows/start-workflow`);
  await page.locator('#workflowId').fill(workflowId);
  await page.locator('#taskQueue').fill('rollback');
  await page.locator('#workflowType').fill('rollbackDeployment');
  await page.locator('.cm-content').first().click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText('{"deployment": "wakala-api"}');
  // Leaving the editor formats its text and moves the button.
  await page.getByRole('heading', { name: 'Start a Workflow' }).click();
  await page.screenshot({ path: join(import.meta.dirname, 'temporal-ui-start.png') });
  await page.getByRole('button', { name: 'Start Workflow' }).click();
  await page.getByText('Workflow started', { exact: false }).first().waitFor();
  await page.goto(`${ui}/namespaces/default/workflows/${workflowId}`);
  await page.getByText('Wait for every replica').first().waitFor();
  await page.screenshot({ path: join(import.meta.dirname, 'temporal-ui-run.png') });
  await page.getByRole('tab', { name: 'User Metadata' }).click();
  await page.getByText('Restore the pod template').first().waitFor();
  await page.screenshot({ path: join(import.meta.dirname, 'temporal-ui-details.png') });
} finally {
  await browser.close();
}
