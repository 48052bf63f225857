import { isInCluster } from '../../contract/plan.ts';
import { shellWord } from '../../contract/printable.ts';
import type { RunStatus, StepStatus } from '../../contract/run.ts';

const marks: Record<StepStatus['state'], string> = {
  running: '…',
  done: '✓',
  failed: '✗',
  paused: '‖',
  skipped: '»',
  undoing: '…',
  undone: '↩',
  'not-undone': '✗',
};

/** A run in Markdown, for the current details in the Temporal UI. */
export function describeRun(status: RunStatus): string {
  const { plan, steps, phase, outcome, message, gaps, next } = status;
  const parts = [`**${outcome ?? phase}**: ${message}`];
  parts.push(...describeWait(status));
  if (plan) {
    const contexts = [...new Set(plan.targets.map(({ context }) => `\`${context}\``))];
    const where = plan.targets.some(isInCluster) ? 'Context' : 'At';
    parts.push(
      `**Plan.** ${plan.summary} ${where} ${contexts.join(', ')}. Digest \`${plan.digest.slice(0, 12)}\`.`,
    );
    const differences = plan.differences.map((line) => `\`${line.replaceAll('`', "'")}\``);
    parts.push(list([...differences, ...plan.warnings]));
    if (phase === 'awaiting-approval') {
      parts.push(
        plan.estimateSeconds === null
          ? 'How long it takes cannot be told: see what is in its way.'
          : `It takes about ${plan.estimateSeconds} s once it is approved.`,
      );
    }
  }
  parts.push(...describeAuthority(status));
  parts.push(...describePauses(status));
  if (steps.length > 0) parts.push('**Steps**', list(steps.map(describeStep)));
  if (gaps.length > 0) parts.push('**Left out**', list(gaps));
  if (next.length > 0) parts.push('**Next**', list(next));
  return parts.filter(Boolean).join('\n\n');
}

/** How whoever is missing answers, first of all, since the rest may need scrolling. */
function describeWait({ authority, workflowId }: RunStatus): string[] {
  if (!authority?.waitsUntil) return [];
  const id = plain(shellWord(workflowId));
  return [
    `Look and decide until ${authority.waitsUntil}: \`rollback approve ${id}\` or \`rollback reject ${id} --note "why"\`. ` +
      'To decide from here, add `--print`, and send what it prints as the update `decide`.',
  ];
}

/** How a paused run is answered. */
function describePauses({ pausedAt, workflowId }: RunStatus): string[] {
  if (pausedAt.length === 0) return [];
  const answers = pausedAt.map(({ step, attempt, allowed, until, mayStay }) => {
    const named = JSON.stringify({ step, attempt });
    const words = [
      ...allowed.map((name) => `\`${name}\``),
      ...(mayStay ? ['`skip --stay`'] : []),
    ].join(' or ');
    return `${words} \`${named}\`${until === undefined ? '' : `; it goes on by itself at ${until}`}`;
  });
  const holds = pausedAt.some(({ until }) => until === undefined);
  const id = plain(shellWord(workflowId));
  return [
    holds ? '**It holds until somebody decides:**' : '**Somebody may decide meanwhile:**',
    list(answers),
    holds
      ? `\`rollback retry ${id}\`, or \`skip\`, or \`abort\`. From here: the signal \`retry\` with the object above; for the others add \`--print\` and send that as the update \`decide\`.`
      : `\`rollback skip ${id}\`, \`skip --stay\` to leave all as it stands, or \`abort\`. From here: add \`--print\` and send that as the update \`decide\`.`,
  ];
}

/** Who asked, and what was decided. */
function describeAuthority({ authority, requestedBy, plannedAgain }: RunStatus): string[] {
  if (!authority) return [];
  const { start, needs, decisions, refused, breakGlass } = authority;
  const parts = [
    `**Asked for by** ${plain(requestedBy ?? '')}${start.kind === 'unsigned' ? `, ${plain(start.why)}` : ''}.`,
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
        .map(
          ({ decision, by, text }) => `did not count: ${decision} by ${plain(by)}: ${plain(text)}`,
        ),
      ...(refused > 0 ? [`${refused} messages did not count.`] : []),
    ]),
  ];
  if (breakGlass) parts.push('**Break-glass was used.**');
  return parts;
}

function describeStep({ title, state, text, error }: StepStatus): string {
  const words = state === 'undone' ? text : (error ?? text);
  return `${marks[state]} ${[title, words].filter(Boolean).join(': ')}`;
}

/** What nobody has proved, without the characters that make links, pictures, code and HTML. */
function plain(text: string): string {
  return text.replace(/[[\]<>`]/g, "'");
}

function list(lines: string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}
