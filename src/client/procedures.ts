/** A command for each procedure, and the plan of each without Temporal. */
import type { Command } from 'commander';
import { type Procedure, procedures } from '../contract/input.ts';
import { addInputFlags, inputOf, json, keyFile } from './flags.ts';

type Flags = Record<string, unknown>;
type Argument = string | string[] | undefined;

interface CommandText {
  description: string;
  examples: string[];
}

/** What `--help` says about each. */
const texts: Record<Procedure, CommandText> = {
  deployment: {
    description: 'roll a Deployment back to its previous or a given revision',
    examples: [
      'rollback deployment wakala-api --reason "errors since 2.0.0"',
      'rollback deployment wakala-api -n production --to-revision 42',
      'rollback deployment wakala-api --dry-run',
      `echo '{"deployment": "wakala-api"}' | rollback deployment --input - --json`,
    ],
  },
  'blue-green': {
    description: 'send the traffic of a Service back to its other colour',
    examples: [
      'rollback blue-green wakala --reason "green fails since 2.0.0"',
      'rollback blue-green wakala -n production --to blue --soak 5m',
      'rollback blue-green wakala --delete',
      `echo '{"service": "wakala"}' | rollback blue-green --input - --json`,
    ],
  },
  statefulset: {
    description:
      'roll a StatefulSet back, with its traffic stopped and its state archived meanwhile',
    examples: [
      'rollback statefulset wakala-stateful --reason "loses messages since 2.0.0"',
      'rollback statefulset wakala-stateful --service wakala-stateful --to-revision 3',
      'rollback statefulset wakala-stateful --restore previous',
      'rollback statefulset wakala-stateful --skip-backup',
    ],
  },
  'circuit-breaker': {
    description: 'open the circuit breaker, or close it again',
    examples: [
      'rollback circuit-breaker --reason "the payment provider hangs"',
      'rollback circuit-breaker close',
      'rollback circuit-breaker open --config-map wakala-config -n production --dry-run',
    ],
  },
  redirect: {
    description: 'redirect a host to the maintenance page, or go back from it',
    examples: [
      'rollback redirect on --reason "the database is restored"',
      'rollback redirect off',
      'rollback redirect on --host api.wakala.com --service maintenance-page --dry-run',
    ],
  },
  services: {
    description: 'roll several Deployments back at once, in one plan with one approval',
    examples: [
      'rollback services api worker scheduler --reason "release 2.0.0"',
      'rollback services --all --since 2h --dry-run',
    ],
  },
};

/** Adds the commands that start runs, and `plan` with one below it for each. */
export function addProcedures(cli: Command, ended: (exitCode: number) => void): void {
  const names = Object.keys(procedures) as Procedure[];
  for (const procedure of names) addStart(cli, procedure, ended);
  const plan = cli
    .command('plan')
    .description('show what a procedure would do; needs no Temporal')
    .addHelpText('after', '\nExample:\n  $ rollback plan deployment wakala-api --commands | sh');
  for (const procedure of names) addPlan(plan, procedure, ended);
}

function addStart(cli: Command, procedure: Procedure, ended: (exitCode: number) => void): void {
  const { description, examples } = texts[procedure];
  addInputFlags(cli.command(procedure), procedure)
    .description(description)
    .option('--input <file>', 'take the input from a JSON file, or from - (standard input)')
    .addOption(keyFile())
    .option('--id <id>', 'workflow id of the run (default: made from procedure, target and time)')
    .option('--detach', 'print the id of the run and do not follow it')
    .addOption(json())
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ ${line}`).join('\n')}`)
    .action(async (argument: Argument, flags: Flags) => {
      const { start } = await import('./commands/start.ts');
      ended(await start(procedure, await wholeInput(procedure, argument, flags), flags));
    });
}

function addPlan(plan: Command, procedure: Procedure, ended: (exitCode: number) => void): void {
  addInputFlags(plan.command(procedure), procedure)
    .description(`plan to ${texts[procedure].description}`)
    .option('--input <file>', 'take the input from a JSON file, or from - (standard input)')
    .option('--commands', 'print the plan as commands that are safe to run twice')
    .addOption(json())
    .action(async (argument: Argument, flags: Flags) => {
      const { plan: show } = await import('./commands/plan.ts');
      ended(await show(procedure, await wholeInput(procedure, argument, flags), flags));
    });
}

/** What stands in the file, and over it what argument and flags say. */
async function wholeInput(procedure: Procedure, argument: Argument, flags: Flags): Promise<Flags> {
  const { readInput } = await import('./commands/start.ts');
  const given = typeof flags.input === 'string' ? readInput(flags.input) : {};
  return { ...given, ...inputOf(procedure, argument, flags) };
}
