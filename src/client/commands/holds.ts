/** `rollback holds`: the owners that runs have left held, read from the cluster alone. */
import { Clusters } from '../../activities/kubernetes/api.ts';
import { inWords } from '../../activities/kubernetes/objects.ts';
import { type ListedHold, listHolds } from '../../activities/owners/list-holds.ts';
import { loadSettings } from '../../config/settings.ts';
import { targetName } from '../../contract/plan.ts';
import { printable } from '../../contract/printable.ts';
import { releaseCommand } from '../../contract/release-command.ts';
import { age, paint, printJson, printLine, printNote } from '../output.ts';

export interface HoldsOptions {
  namespace?: string;
  context?: string;
  json?: boolean;
}

/** Prints what is held, since when, by which run and for whom. */
export async function holds(options: HoldsOptions): Promise<number> {
  const { settings } = loadSettings();
  const clusters = new Clusters(settings.kubernetes.context);
  const { held, unseen } = await listHolds(clusters, settings, options);
  if (options.json) printJson(held);
  else if (held.length === 0) printLine('Nothing is held.');
  else for (const line of printable(held).flatMap(holdLines)) printLine(line);
  if (unseen.length > 0) {
    printNote(`Not seen: ${unseen.join('; ')}. For rights see deploy/kubernetes-role.yaml.`);
  }
  return 0;
}

function holdLines({ owner, isHeld, reasons }: ListedHold): string[] {
  const state = isHeld
    ? `held for ${age(reasons[0]?.at)}`
    : 'noted as held, but somebody has turned it on since';
  return [
    paint('bold', `${inWords(owner)}: ${state}`),
    ...reasons.map(({ workflowId, by, at, protects }) => {
      const names = protects.map(targetName).join(', ');
      return `  since ${at} by run ${workflowId}, asked for by ${by}, for ${names}`;
    }),
    `  ${releaseCommand(owner)}`,
  ];
}
