/** Entry of the CLI `rollback`. */
import { CommanderError } from 'commander';
import { CliError, exitCodes } from './errors.ts';
import { printNote } from './output.ts';
import { program } from './program.ts';

const cli = program((exitCode) => {
  process.exitCode = exitCode;
});

void main();

async function main(): Promise<void> {
  try {
    await cli.parseAsync(await expandAlias(process.argv.slice(2)), { from: 'user' });
  } catch (error) {
    process.exitCode = await tell(error);
  }
  // Nothing that a library keeps open may hold up the shell once the answer is out.
  process.stdout.write('', () => process.exit());
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
