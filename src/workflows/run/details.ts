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
  }
  if (steps.length > 0) parts.push('**Steps**', list(steps.map(describeStep)));
  if (next.length > 0) parts.push('**Next**', list(next));
  return parts.filter(Boolean).join('\n\n');
}

function describeStep({ title, state, text, error }: StepStatus): string {
  return `${marks[state]} ${[title, error ?? text].filter(Boolean).join(': ')}`;
}

function list(lines: string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}
