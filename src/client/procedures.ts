/** A command for each procedure, and the plan of each without Temporal. */
import type { Command } from 'commander';
import { type Procedure, procedures } from '../contract/input.ts';
import { CliError } from './errors.ts';
import {
  addFurtherFlags,
  addInputFlags,
  flagOf,
  furtherFields,
  inputOf,
  json,
  keyFile,
  runId,
} from './flags.ts';

type Flags = Record<string, unknown>;
type Argument = string | string[] | undefined;

interface CommandText {
  description: string;
  examples: string[];
}

/** Procedures that are another way of what a command does, by the flag that chooses them. */
const ways: Partial<Record<Procedure, { of: Procedure; flag: string; words: string }>> = {
  'reduce-feature': {
    of: 'feature',
    flag: 'gradual',
    words: 'share by share, for as long as the error rate is above a gate, and not at once',
  },
};

/** Procedures that can be told to hit all there is, without a name. */
const asksFirst: Procedure[] = ['services', 'cache'];

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
  services: {
    description: 'roll several Deployments back at once, in one plan with one approval',
    examples: [
      'rollback services api worker scheduler --reason "release 2.0.0"',
      'rollback services --all --since 2h --dry-run',
      'rollback services --all --yes             # without being asked on a terminal',
    ],
  },
  release: {
    description: 'let GitOps or progressive delivery act by itself again after a rollback',
    examples: [
      'rollback release application/shop',
      'rollback release kustomization/apps -n flux-system',
      'rollback holds                       # what is held, since when and why',
    ],
  },
  canary: {
    description: 'take the canary of a service out: its traffic, its pods and what belongs to it',
    examples: [
      'rollback canary wakala --reason "errors since the canary"',
      'rollback canary wakala -n production --keep',
      'rollback canary wakala --canary v2 --stable v1 --dry-run',
    ],
  },
  schema: {
    description: 'take the schema of a database back to an earlier version, step by step',
    examples: [
      'rollback schema --to 41 --reason "version 42 locks the orders"',
      'rollback schema wakala --to 41 --dry-run     # shows the SQL',
      'rollback history schema/wakala               # which versions are applied',
    ],
  },
  database: {
    description: 'bring the data of a database back from a backup, beside it, and swap the two',
    examples: [
      'rollback database --to 2025-01-10T14:30:00Z --reason "orders were deleted"',
      'rollback database wakala --to 2025-01-10T14:30:00Z --restore-only',
      'rollback database --undo ID          # swap back what that run has swapped',
      'rollback history database            # which backups there are',
    ],
  },
  transactions: {
    description: 'end sessions whose transaction has been open for too long',
    examples: [
      'rollback transactions --reason "the migration waits behind them"',
      'rollback transactions wakala --end-after 5m',
      'rollback transactions --dry-run      # lists them and ends none',
    ],
  },
  feature: {
    description: 'turn a feature flag off, and clear what is cached of it',
    examples: [
      'rollback feature new_message_flow --reason "messages are sent twice"',
      'rollback feature new_message_flow --dry-run',
      'rollback feature new_message_flow --gradual --watch 2m --gate 0.02',
      'rollback feature new_message_flow --gradual --percentages 50,10,0',
      `echo '{"feature": "new_message_flow"}' | rollback feature --input - --json`,
    ],
  },
  'reduce-feature': {
    description: 'reduce the share of those who have a feature, for as long as errors are high',
    examples: [],
  },
  cache: {
    description: 'clear a cache: the prefixes of the settings, or where asked all that is in it',
    examples: [
      'rollback cache --reason "entries of 2.0.0 cannot be read by 1.0.0"',
      'rollback cache main --dry-run',
      'rollback cache main --flush',
      'rollback cache main --flush-all',
    ],
  },
  helm: {
    description: 'roll a Helm release back to its last good or a given revision',
    examples: [
      'rollback helm wakala --reason "errors since 2.0.0"',
      'rollback helm wakala -n production --to-revision 3',
      'rollback helm wakala --dry-run',
    ],
  },
};

/** Adds the commands that start runs, and `plan` with one below it for each. */
export function addProcedures(cli: Command, ended: (exitCode: number) => void): void {
  addWhenSeen(cli, (procedure) => texts[procedure].description, addStart);
  const plan = cli
    .command('plan')
    .description('show what a procedure would do; needs no Temporal')
    .addHelpText('after', '\nExample:\n  $ rollback plan deployment wakala-api --commands | sh');
  addWhenSeen(plan, (procedure) => `plan to ${texts[procedure].description}`, addPlan);

  /** Making the flags of all from their schemas would cost each start of the CLI 20 ms. */
  function addWhenSeen(
    parent: Command,
    description: (procedure: Procedure) => string,
    add: (command: Command, procedure: Procedure, ended: (exitCode: number) => void) => void,
  ): void {
    const unseen = new Map<Command, Procedure>();
    const see = (command: Command) => {
      const procedure = unseen.get(command);
      if (procedure && unseen.delete(command)) add(command, procedure, ended);
    };
    for (const procedure of Object.keys(procedures) as Procedure[]) {
      if (ways[procedure]) continue;
      unseen.set(parent.command(procedure).description(description(procedure)), procedure);
    }
    parent.hook('preSubcommand', (_, command) => see(command));
    parent.on('beforeAllHelp', () => [...unseen.keys()].forEach(see));
  }
}

function addStart(command: Command, procedure: Procedure, ended: (exitCode: number) => void): void {
  addAllFlags(command, procedure);
  if (asksFirst.includes(procedure)) {
    command.option('--yes', 'do not ask on a terminal before all there is is hit');
  }
  command
    .option('--input <file>', 'take the input from a JSON file, or from - (standard input)')
    .addOption(keyFile())
    .option(
      '--id <id>',
      'workflow id of the run (default: made from procedure, target and time)',
      runId,
    )
    .option('--detach', 'print the id of the run and do not follow it')
    .addOption(json())
    .addHelpText(
      'after',
      `\nExamples:\n${texts[procedure].examples.map((line) => `  $ ${line}`).join('\n')}`,
    )
    .action(async (argument: Argument, flags: Flags) => {
      const { start } = await import('./commands/start.ts');
      const chosen = chosenWay(procedure, flags);
      const input = await wholeInput(chosen, argument, flags);
      if (asksFirst.includes(procedure) && !flags.yes) {
        const { confirmStart } = await import('./commands/confirm-start.ts');
        await confirmStart(chosen, input);
      }
      ended(await start(chosen, input, flags));
    });
}

function addPlan(command: Command, procedure: Procedure, ended: (exitCode: number) => void): void {
  addAllFlags(command, procedure)
    .option('--input <file>', 'take the input from a JSON file, or from - (standard input)')
    .option('--commands', 'print the plan as commands that are safe to run twice')
    .addOption(json())
    .action(async (argument: Argument, flags: Flags) => {
      const { plan: show } = await import('./commands/plan.ts');
      const chosen = chosenWay(procedure, flags);
      ended(await show(chosen, await wholeInput(chosen, argument, flags), flags));
    });
}

/** The flags of a procedure, and of other ways of doing it. */
function addAllFlags(command: Command, procedure: Procedure): Command {
  addInputFlags(command, procedure);
  for (const [way, { flag, words }] of waysOf(procedure)) {
    addFurtherFlags(command.option(`--${flag}`, words), way, procedure);
  }
  return command;
}

/** The procedure that the flags choose. */
function chosenWay(procedure: Procedure, flags: Flags): Procedure {
  for (const [way, { flag }] of waysOf(procedure)) {
    if (flags[flag]) return way;
    const given = furtherFields(way, procedure).find((field) => flags[field] !== undefined);
    if (given !== undefined) throw new CliError(`${flagOf(given)} needs --${flag}.`);
  }
  return procedure;
}

function waysOf(procedure: Procedure) {
  const all = Object.entries(ways) as [Procedure, { of: Procedure; flag: string; words: string }][];
  return all.filter(([, { of }]) => of === procedure);
}

/** What stands in the file, and over it what argument and flags say. */
async function wholeInput(procedure: Procedure, argument: Argument, flags: Flags): Promise<Flags> {
  const { readInput } = await import('./commands/start.ts');
  const given = typeof flags.input === 'string' ? readInput(flags.input) : {};
  return { ...given, ...inputOf(procedure, argument, flags) };
}
