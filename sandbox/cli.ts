import { Command, InvalidArgumentError } from 'commander';
import { recoveryFolders, takeBaseBackup } from './base-backup.ts';
import { exportLines } from './environment.ts';
import { printLogs } from './logs.ts';
import { logEnd, readRecord } from './records.ts';
import { downSecondRegion, upWithRegions } from './second-region.ts';
import { down, environment, status, up, type Environment } from './sandbox.ts';
import { canonicalFolder, defaultFolder } from './state.ts';
import { statusTable } from './status.ts';

const program = new Command('npm run sandbox --')
  .description('A local Kubernetes, Temporal, PostgreSQL, Redis and example service to roll back.')
  .addHelpText(
    'after',
    `
Environment:
  SANDBOX_DIR        the data folder (default: .sandbox in the repository)
  WAKALA_READY_MS    milliseconds until a new pod is ready (default: as before, at first 1000)

Examples:
  $ npm run sandbox -- up --worker
  $ npm run sandbox -- up --worker --regions
  $ eval "$(npm run -s sandbox -- env)"
  $ kubectl set image deployment/wakala-api '*=wakala/api:2.0.0-bad'
  $ curl -s "$WAKALA_URL/metrics" | jq .error_rate
  $ npm run sandbox -- base-backup
  $ npm run sandbox -- logs worker --follow
  $ npm run sandbox -- down`,
  );

program
  .command('up')
  .description('start everything that does not run yet')
  .option('--worker', 'start a worker too')
  .option('--regions', 'start a second cluster: regions eu and us')
  .action(async ({ worker, regions }: { worker?: boolean; regions?: boolean }) => {
    const began = Date.now();
    const start = regions ? upWithRegions : up;
    const variables = await start({
      worker,
      readyMs: readyMsFromEnvironment(),
      onLine: (line) => console.log(line),
      signal: interruption(),
    });
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    console.log(`${whereThingsAre(variables)}\nThe sandbox is up after ${seconds} s.`);
  });

program
  .command('down')
  .description('end everything that was started, and remove the data')
  .option('--keep-data', 'keep the data for another `up`')
  .action(async ({ keepData }: { keepData?: boolean }) => {
    const onLine = (line: string) => console.log(line);
    const beside = keepData ? [] : await downSecondRegion(defaultFolder());
    const stopped = [...beside, ...(await down(defaultFolder(), { keepData, onLine }))];
    console.log(stopped.length > 0 ? `Stopped ${stopped.join(', ')}.` : 'Nothing was running.');
  });

program
  .command('base-backup')
  .description('archive the WAL of PostgreSQL from now on, and take a base backup')
  .option('--tar', 'in the tar format, compressed')
  .action(async ({ tar }: { tar?: boolean }) => {
    const { DATABASE_URL = '', BACKUP_DIR = '' } = environment();
    const folder = await takeBaseBackup(
      DATABASE_URL,
      recoveryFolders(BACKUP_DIR),
      tar ? 'tar' : 'plain',
    );
    console.log(
      `Base backup ${folder} is taken: rollback database --to TIME goes back to any second from now on.`,
    );
  });

program
  .command('env')
  .description('print `export` lines for a shell')
  .action(() => console.log(exportLines(environment())));

program
  .command('status')
  .description('list the servers')
  .option('--json', 'as one JSON document')
  .action(({ json }: { json?: boolean }) => {
    const servers = status();
    if (json) return console.log(JSON.stringify({ servers }));
    if (servers.length === 0) return console.log(`No sandbox is up in ${defaultFolder()}.`);
    console.log(statusTable(servers));
    for (const { name, state } of servers) {
      if (state === 'dead') printDeath(name);
    }
  });

program
  .command('logs [name]')
  .description("print the end of a server's log, or of all")
  .option('-n, --lines <number>', 'how many lines', wholeNumber, 100)
  .option('-f, --follow', 'go on printing what is added')
  .action((name: string | undefined, options: { lines: number; follow?: boolean }) =>
    printLogs(name, { lines: options.lines, follow: options.follow ?? false }),
  );

function printDeath(name: string): void {
  const record = readRecord(canonicalFolder(defaultFolder()), name);
  if (!record) return;
  console.log(
    `\n${name} does not run any more; the last lines of ${record.log}:\n${logEnd(record, 10)}`,
  );
}

function whereThingsAre(variables: Environment): string {
  return `
Temporal UI   ${variables.TEMPORAL_UI_URL}
Wakala        ${variables.WAKALA_URL}
kubectl       KUBECONFIG=${variables.KUBECONFIG}
All of it     eval "$(npm run -s sandbox -- env)"
`;
}

function readyMsFromEnvironment(): number | undefined {
  const text = process.env.WAKALA_READY_MS;
  if (!text) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw new Error(`WAKALA_READY_MS is ${text}; give whole milliseconds, such as 3000.`);
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** Aborts on the first Ctrl-C, so that what was started can be ended; a second one gives up. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort(new Error('Interrupted: ending what was started.'));
    });
  }
  return controller.signal;
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
