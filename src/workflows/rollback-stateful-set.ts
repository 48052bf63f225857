import type { SelectorChange } from '../activities/kubernetes/service/service.ts';
import type {
  BackupChange,
  StateChange,
  TemplateChange,
} from '../activities/kubernetes/stateful-set/stateful-set-change.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { ChangeMandate, Run } from './run/run.ts';
import { switchTraffic } from './run/switch-traffic.ts';

/**
 * R9: `kubectl patch service NAME` to maintenance, `kubectl exec ... tar -czf`, `kubectl rollout undo
 * statefulset/NAME`, where it was asked for `kubectl exec ... tar -xzf`, and `kubectl patch service` to
 * the selector that was there, once the checks are green.
 */
export const rollbackStatefulSet = runbook('statefulset', {
  plan: (...request) => kubernetes.planStatefulSetRollback(...request),

  async steps(run) {
    for (const stop of run.changes<SelectorChange>('stop')) await stopTraffic(run, stop);
    await run.together(
      run.changes<BackupChange>('backup').map(
        (backup) => () =>
          run.step(`Back up the state of ${backup.change.after.pod}`, {
            do: () => kubernetes.backUpState(backup),
          }),
      ),
    );
    for (const template of run.changes<TemplateChange>('template')) await goBack(run, template);
    await run.together(
      run.changes<StateChange>('state').map((state) => () => restoreState(run, state)),
    );
    await run.verify();
    for (const resume of run.changes<SelectorChange>('resume')) await resumeTraffic(run, resume);
  },

  byHand: ({ targets }) =>
    targets.map(({ kind, context, namespace, name }) =>
      kind === 'service'
        ? `See whether it gets traffic: kubectl get service ${name} -o wide -n ${namespace} --context ${context}`
        : `See what stands there: rollback history statefulset/${name} -n ${namespace} --context ${context}`,
    ),
});

/** Undone by itself only where the version is the one that had the traffic. */
async function stopTraffic(run: Run, stop: ChangeMandate<SelectorChange>): Promise<void> {
  await run.step('Stop the traffic', {
    do: () => switchTraffic(stop),
    undo: () => switchTraffic(stop.inverse),
    undoOnlyIf: () => comparison(run),
  });
}

async function goBack(run: Run, template: ChangeMandate<TemplateChange>): Promise<void> {
  run.ifCutShort('Hand the StatefulSet back', () =>
    kubernetes.handBackStatefulSet(template.inverse),
  );
  await run.step('Restore the pod template', {
    isNeeded: true,
    do: () => kubernetes.restoreStatefulSet(template),
    undo: async () => {
      await kubernetes.restoreStatefulSet(template.inverse);
      return kubernetes.driveStatefulSet(template.inverse);
    },
    undoOnlyIf: () => kubernetes.compareStatefulSet(template),
  });
  await run.step('Wait for every replica', { do: () => kubernetes.driveStatefulSet(template) });
}

async function restoreState(run: Run, state: ChangeMandate<StateChange>): Promise<void> {
  await run.step(`Restore the state of ${state.change.after.pod}`, {
    do: () => kubernetes.restoreState(state),
    undo: () => kubernetes.restoreState(state.inverse),
    undoOnlyIf: () => kubernetes.compareState(state),
  });
}

async function resumeTraffic(run: Run, resume: ChangeMandate<SelectorChange>): Promise<void> {
  const { id, target } = resume.change;
  // There may be several beside the one that this run has stopped: those that others left so.
  const of = id.includes('/') ? ` of ${target.name}` : '';
  await run.step(`Resume the traffic${of}`, {
    do: () => switchTraffic(resume),
    undo: () => switchTraffic(resume.inverse),
    undoOnlyIf: () => comparison(run),
  });
}

/** Whether what had the traffic stands there again, or is healthier than what was gone back to. */
async function comparison(run: Run) {
  const [template] = run.changes<TemplateChange>('template');
  const [state] = run.changes<StateChange>('state');
  if (!template && !state) {
    const text = 'it would stop the traffic';
    return { beforeIsHealthier: false, nothingToUndo: false, text };
  }
  const found = template
    ? await kubernetes.compareStatefulSet(template)
    : await kubernetes.compareState(state as ChangeMandate<StateChange>);
  return { ...found, nothingToUndo: false };
}
