import { spawn } from 'node:child_process';
import { logEnd, readRecord, readRecords } from './records.ts';
import { canonicalFolder, defaultFolder } from './state.ts';

/** How a log is shown. */
export interface LogOptions {
  readonly lines: number;
  readonly follow: boolean;
}

/** Prints the end of one server's log, or a few lines of every server's. */
export async function printLogs(
  name: string | undefined,
  { lines, follow }: LogOptions,
  dir: string = defaultFolder(),
): Promise<void> {
  const folder = canonicalFolder(dir);
  if (!name) {
    for (const record of readRecords(folder)) {
      console.log(`==> ${record.name}: ${record.log}\n${logEnd(record, 5)}\n`);
    }
    return;
  }
  const record = readRecord(folder, name);
  if (!record) {
    const names = readRecords(folder).map((each) => each.name);
    throw new Error(
      names.length > 0
        ? `The sandbox in ${folder} has no server ${name}; it has ${names.join(', ')}.`
        : `No sandbox is up in ${folder}; start it with \`npm run sandbox -- up\`.`,
    );
  }
  if (!follow) {
    console.log(logEnd(record, lines));
    return;
  }
  const tail = spawn('tail', ['-n', String(lines), '-F', record.log], { stdio: 'inherit' });
  await new Promise((resolve) => tail.once('close', resolve));
}
