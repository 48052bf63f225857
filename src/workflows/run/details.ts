import type { RunStatus, StepStatus } from '../../contract/run.ts';

const marks: Record<StepStatus['state'], string> = {
  running: '…',
  done: '✓',
  failed: '✗',
  undoing: '…',
  undone: '↩',
  'not-undone': '✗',
};

/** A run in Markdown, for the current details in the Temporal UI. */
export function describeRun(status: RunStatus): string {
  const { plan, steps, phase, outcome, message, next } = status;
  const parts = [`**${outcome ?? phase}**: ${message}`];
  if (plan) {
    parts.push(`**Plan.** ${plan.summary} Digest \`${plan.digest.slice(0, 12)}\`.`);
    parts.push(list([...plan.differences.map((line) => `\`${line}\``), ...plan.warnings]));
    if (phase === 'awaiting-approval') {
      parts.push(`It takes about ${plan.estimateSeconds} s once it is approved.`);
    }
  }
  parts.push(...describeAuthority(status));
  if (steps.length > 0) parts.push('**Steps**', list(steps.map(describeStep)));
  if (next.length > 0) parts.push('**Next**', list(next));
  return parts.filter(Boolean).join('\n\n');
}

/** Who asked, what was decided, and how whoever is missing answers. */
function describeAuthority({ authority, requestedBy, plannedAgain, workflowId }: RunStatus) {
  if (!authority) return [];
  const { start, needs, decisions, refused, missing, waitsUntil, breakGlass } = authority;
  const parts = [
    `**Asked for by** ${requestedBy}${start.kind === 'unsigned' ? `, ${start.why}` : ''}.`,
    list([
      ...(plannedAgain ? [`Planned again: ${plannedAgain}`] : []),
      ...needs
        .filter(({ by }) => by.length > 0)
        .map(
          (need) =>
            `${need.rule}: ${need.by.join(', ')}${need.breakGlass ? ` **break-glass** for ${need.roles.join()}` : ''}`,
        ),
      ...decisions
        .filter(({ counted }) => !counted)
        .map(({ decision, by, text }) => `did not count: ${decision} by ${by}: ${text}`),
      ...(refused > 0 ? [`${refused} messages did not count.`] : []),
    ]),
  ];
  if (waitsUntil) {
    parts.push(
      `**Waits until ${waitsUntil} for** ${missing}.`,
      `Look and decide: \`rollback approve ${workflowId}\` or \`rollback reject ${workflowId} --note "why"\`. ` +
        'To decide from here, add `--print` and send what it prints as the signal `approve` or `reject`.',
    );
  }
  if (breakGlass) parts.push('**Break-glass was used.**');
  return parts;
}

function describeStep({ title, state, text, error }: StepStatus): string {
  return `${marks[state]} ${[title, error ?? text].filter(Boolean).join(': ')}`;
}

function list(lines: string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}
