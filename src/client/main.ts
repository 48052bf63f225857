/** Entry of the CLI `rollback`. */
import { type Command, CommanderError } from 'commander';
import { CliError, exitCodes } from './errors.ts';
import { printNote } from './output.ts';
import { program } from './program.ts';

const cli = program((exitCode) => {
  process.exitCode = exitCode;
});

void main();

async function main(): Promise<void> {
  try {
    const args = withoutVainHelp(cli, await expandAlias(process.argv.slice(2)));
    await cli.parseAsync(args, { from: 'user' });
  } catch (error) {
    process.exitCode = await tell(error);
  }
  // Nothing that a library keeps open may hold up the shell once the answer is out.
  process.stdout.write('', () => process.exit());
}

/** Without asking for help where there is no such command: it would be given of all, as if all were well. */
function withoutVainHelp(parent: Command, args: string[]): string[] {
  const [first = '', ...rest] = args;
  if (parent.commands.length === 0 || first.startsWith('-')) return args;
  const command = parent.commands.find((one) => one.name() === first);
  if (command) return [first, ...withoutVainHelp(command, rest)];
  return args.filter((word) => !['-h', '--help'].includes(word));
}

/** Puts the settings' words for an alias; only a first word that is no command is looked up. */
async function expandAlias(args: string[]): Promise<string[]> {
  const [first = '', ...rest] = args;
  const known = cli.commands.some((command) => command.name() === first);
  if (first === '' || first.startsWith('-') || known || first === 'help') return args;
  const { loadSettings, SettingsError } = await import('../config/settings.ts');
  try {
    const { aliases } = loadSettings().settings;
    return Object.hasOwn(aliases, first) ? [...(aliases[first] ?? []), ...rest] : args;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    // It may well be an alias of settings that cannot be read; a typing error is told below this.
    printNote(error.message);
    return args;
  }
}

/** Tells an error in one sentence and answers the exit code. */
async function tell(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
  if (error instanceof CliError) {
    printNote(error.message);
    return error.exitCode;
  }
  const { explainFailure } = await import('./explain-failure.ts');
  const { message, exitCode } = explainFailure(error);
  printNote(message);
  return exitCode;
}
