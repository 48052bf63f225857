import { Clusters } from '../../activities/kubernetes/api.ts';
import { loadSettings } from '../../config/settings.ts';
import type { Procedure } from '../../contract/input.ts';
import { explainFailure } from '../explain-failure.ts';
import { printNote } from '../output.ts';
import { planLines } from '../view.ts';
import { planEverywhere } from './plan.ts';

/**
 * Shows beside the output what a run would do, as far as it can be told from here; answers whether it would
 * change anything.
 */
export async function showPlan(procedure: Procedure, input: unknown): Promise<boolean> {
  try {
    const settings = loadSettings();
    const clusters = new Clusters(settings.settings.kubernetes.context);
    const plan = await planEverywhere(procedure, clusters, settings, input);
    if (plan.changes.length === 0) return false;
    for (const line of planLines(plan)) printNote(line);
  } catch (error) {
    printNote(`The plan cannot be shown from here. ${explainFailure(error).message}`);
  }
  return true;
}
