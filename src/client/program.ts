/** The commands of the CLI. What a command needs is imported when it runs, so that each starts fast. */
import { Command } from 'commander';
import type { StepDecisionName } from '../contract/decision.ts';
import { json, keyFile, positiveNumber, runId } from './flags.ts';
import { addProcedures } from './procedures.ts';
import manifest from '../../package.json' with { type: 'json' };

type Flags = Record<string, unknown>;

/** Builds the CLI; `ended` gets the exit code of the command that ran. */
export function program(ended: (exitCode: number) => void): Command {
  const cli = new Command('rollback')
    .description(
      'Rolls production back: plans first, changes only what the plan names, and can be killed at any instant.',
    )
    .version(manifest.version, '-V, --version', 'say which version this is')
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  $ rollback deployment wakala-api -n production --reason "errors since 2.0.0"
  $ rollback deployment wakala-api --to-revision 42 --dry-run
  $ rollback plan deployment wakala-api --commands      # without Temporal
  $ rollback history deployment/wakala-api
  $ rollback list --waiting
  $ rollback approve ID                                  # shows the plan, asks, and signs
  $ rollback watch ID
  $ rollback holds                                       # what a rollback has left held

Exit codes: 0 rolled back or nothing to do, 1 failed or gone back, 2 wrong use or refused,
3 rejected or expired, 4 another run holds the target, 5 Temporal, cluster or worker not reachable.
Settings: rollback.yaml (ROLLBACK_CONFIG); Temporal: its profile file and TEMPORAL_*.`,
    );
  addProcedures(cli, ended);
  addRuns(cli, ended);
  addDecisions(cli, ended);
  addCluster(cli, ended);
  cli
    .command('doctor')
    .description(
      'check Temporal, workers and all that the settings name, and what runs left behind',
    )
    .option('--mend', 'put rollout strategies back that ended runs left raised')
    .addOption(json())
    .action(async (flags: Flags) => {
      const { doctor } = await import('./commands/doctor.ts');
      ended(await doctor(flags));
    });
  return cli;
}

function addRuns(cli: Command, ended: (exitCode: number) => void): void {
  cli
    .command('list')
    .description('list runs, newest first')
    .option('--open', 'only those that have not ended')
    .option(
      '--waiting',
      'only those that wait for somebody, with what is missing and how to answer',
    )
    .option('--limit <number>', 'at most this many', positiveNumber, 20)
    .addOption(json())
    .action(async (flags: { limit: number }) => {
      const { list } = await import('./commands/runs.ts');
      ended(await list(flags));
    });
  cli
    .command('status')
    .argument('<id>', 'workflow id of the run', runId)
    .description('show a run as it is now')
    .addOption(json())
    .action(async (id: string, flags: Flags) => {
      const { status } = await import('./commands/runs.ts');
      ended(await status(id, flags));
    });
  cli
    .command('resume')
    .argument('<id>', 'workflow id of the run', runId)
    .description('take up a run that was terminated or timed out, and follow it')
    .addOption(keyFile())
    .option('--detach', 'do not follow it')
    .addOption(json())
    .addHelpText(
      'after',
      `
A run that was ended from outside is taken up from where it was. One that had begun to go back, or
that failed, is not taken up: a new run with the same input begins, and so for feature flags, caches and
transactions, where nothing tells that a run had begun. A run whose worker was killed needs
nothing: it goes on by itself. Approvals that it had are kept for the same plan where you, with your key,
are somebody who may start it.

Example:
  $ rollback resume ID`,
    )
    .action(async (id: string, flags: Flags) => {
      const { resume } = await import('./commands/resume.ts');
      ended(await resume(id, flags));
    });
  cli
    .command('watch')
    .argument('<id>', 'workflow id of the run', runId)
    .description('follow a run to its end; the exit code is that of its outcome')
    .addOption(json())
    .action(async (id: string, flags: Flags) => {
      const { watch } = await import('./commands/runs.ts');
      ended(await watch(id, flags));
    });
}

function addDecisions(cli: Command, ended: (exitCode: number) => void): void {
  const signed = (command: Command) =>
    command
      .argument('<id>', 'workflow id of the run', runId)
      .addOption(keyFile())
      .option('--yes', 'do not ask')
      .option('--unchecked', 'decide although the plan cannot be checked here for want of settings')
      .option('--print', 'print the message for the Temporal UI and send nothing')
      .addOption(json());
  signed(cli.command('approve'))
    .description('approve the plan of a run, signed with your key')
    .option('--note <text>', 'what you want to say; it stays with the run')
    .option('--break-glass', 'stand in for somebody who does not answer; needs --note')
    .addHelpText(
      'after',
      `
Shows the plan as a worker sealed it, asks, signs it with your key and sends it; answers at once
whether it counted and what is still missing. Exit code 2 where it did not count.

Examples:
  $ rollback approve ID
  $ rollback approve ID --key ~/.config/rollback/me.jwk --yes
  $ rollback approve ID --print          # to send as the update "decide" in the Temporal UI
  $ rollback approve ID --break-glass --note "the lead has not answered for 10 minutes"`,
    )
    .action(async (id: string, flags: Flags) => {
      const { decide } = await import('./commands/decide.ts');
      ended(await decide('approve', id, flags));
    });
  signed(cli.command('reject'))
    .description('reject the plan of a run, signed with your key; ends the run, nothing is changed')
    .option('--note <text>', 'why; needed')
    .addHelpText('after', '\nExample:\n  $ rollback reject ID --note "the fix is being deployed"')
    .action(async (id: string, flags: Flags) => {
      const { decide } = await import('./commands/decide.ts');
      ended(await decide('reject', id, flags));
    });
  const aboutStep = (command: Command) =>
    signed(command).option('--step <title>', 'which step, where the run is paused at several');
  const steps: [StepDecisionName, string][] = [
    ['retry', 'try the failed step of a paused run again'],
    [
      'skip',
      'leave a failed step out, end a soak, or hurry a feature that is watched to 0 %, signed',
    ],
    ['abort', 'take back what a run has done, whatever it is at, signed'],
  ];
  for (const [name, description] of steps) {
    const command = aboutStep(cli.command(name))
      .description(description)
      .option('--note <text>', 'why; it stays with the run');
    if (name === 'skip')
      command.option('--stay', 'end a run that watches or soaks, and leave all as it stands');
    command
      .addHelpText('after', `\nExample:\n  $ rollback ${name} ID --note "why"`)
      .action(async (id: string, flags: Flags) => {
        const { decide } = await import('./commands/decide.ts');
        ended(await decide(name, id, flags));
      });
  }
  cli
    .command('keygen')
    .argument('<name>', 'whose key it is, as in the people file, such as an address of mail')
    .description('make a key that signs decisions; its public part goes into the people file')
    .option('--out <file>', 'where to keep the private part (default: NAME.jwk)')
    .option('--print', 'write the private key to standard output and into no file')
    .option('--worker', 'a key with which a worker seals its plans')
    .addOption(json())
    .addHelpText(
      'after',
      '\nExample:\n  $ rollback keygen alice@example.com --out ~/.config/rollback/me.jwk',
    )
    .action(async (name: string, flags: Flags) => {
      const { keygen } = await import('./commands/keygen.ts');
      ended(await keygen(name, flags));
    });
}

function addCluster(cli: Command, ended: (exitCode: number) => void): void {
  const placed = (command: Command) =>
    command
      .option('-n, --namespace <name>', 'namespace (default: from the settings)')
      .option('--context <name>', 'kubeconfig context (default: from the settings)')
      .addOption(json());
  placed(cli.command('history'))
    .argument(
      '<target>',
      'what to look at, such as deployment/wakala-api, statefulset/NAME, helm/RELEASE, database/NAME or schema/NAME',
    )
    .description('list what could be gone back to: revisions, versions of a schema, backups')
    .action(async (target: string, flags: Flags) => {
      const { history } = await import('./commands/cluster.ts');
      ended(await history(target, flags));
    });
  placed(cli.command('holds'))
    .description(
      'list what runs hold (Argo CD, Flux, Flagger), since when and why; needs no Temporal',
    )
    .addHelpText(
      'after',
      `
A rollback holds whoever would bring the bad version back, and leaves that so: revert in their source, then
release them.

Examples:
  $ rollback holds
  $ rollback release application/shop`,
    )
    .action(async (flags: Flags) => {
      const { holds } = await import('./commands/holds.ts');
      ended(await holds(flags));
    });
  placed(cli.command('pods'))
    .argument('<name>', 'name of the Deployment')
    .option('-w, --watch', 'go on printing changes until interrupted')
    .description('show the pods of a Deployment')
    .action(async (name: string, flags: Flags) => {
      const { pods } = await import('./commands/cluster.ts');
      ended(await pods(name, flags));
    });
}
