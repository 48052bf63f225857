/** `rollback doctor`: whether everything is there that a rollback will need, before it is needed. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type LoadedSettings, loadSettings } from '../../config/settings.ts';
import { checkAuthority, isWorkersMachine } from '../doctor/authority.ts';
import { checkClusters } from '../doctor/clusters.ts';
import { checkDatabases } from '../doctor/databases.ts';
import { checkFeatures } from '../doctor/features.ts';
import { checkTemporal } from '../doctor/temporal.ts';
import { CliError, exitCodes } from '../errors.ts';
import { type Finding, look } from '../doctor/findings.ts';
import { paint, printJson, printLine } from '../output.ts';
import { connectTemporal } from '../temporal.ts';

export interface DoctorOptions {
  mend?: boolean;
  json?: boolean;
}

/** Looks at some things, and tells each as a finding. */
type Check = (findings: Finding[]) => Promise<void>;

/** Checks all at once and prints a line each; exit code 1 where something is missing, and not for warnings. */
export async function doctor({ mend = false, json }: DoctorOptions): Promise<number> {
  const findings: Finding[] = [];
  const loaded = await look(findings, 'settings', () => {
    const loaded = loadSettings();
    const services = Object.keys(loaded.settings.services);
    return Promise.resolve([loaded, `${loaded.file}: services ${services.join(', ') || 'none'}`]);
  });
  const temporal = connectTemporal();
  try {
    const ofSettings: Check[] = loaded
      ? [
          (own) => checkCommands(own, loaded),
          (own) => checkAuthority(own, loaded, temporal.address),
          (own) => checkFeatures(own, loaded),
          (own) => checkDatabases(own, loaded),
          (own) => checkClusters(own, loaded, temporal, mend),
        ]
      : [];
    const checks: Check[] = [
      (own) => checkTemporal(own, temporal, loaded?.settings.regions ?? {}),
      ...ofSettings,
    ];
    findings.push(...(await Promise.all(checks.map(findingsOf))).flat());
  } finally {
    await temporal.close();
  }
  if (json) printJson(findings);
  else for (const finding of findings) printLine(lineOf(finding));
  return findings.every(({ ok, warning }) => ok || warning) ? 0 : 1;
}

async function findingsOf(check: Check): Promise<Finding[]> {
  const own: Finding[] = [];
  await check(own);
  return own;
}

function lineOf({ what, ok, warning, text }: Finding): string {
  const mark = ok ? paint('green', '✓') : warning ? paint('yellow', '!') : paint('red', '✗');
  return `${mark} ${what.padEnd(18)} ${text}`;
}

/** Commands of checks that are files: a relative one is relative to the settings file. */
async function checkCommands(findings: Finding[], loaded: LoadedSettings): Promise<void> {
  const { settings, folder } = loaded;
  const commands = Object.values(settings.services).flatMap(({ checks: { smoke } }) => {
    const [program = ''] = smoke?.command ?? [];
    return program.includes('/') ? [resolve(folder, program)] : [];
  });
  if (commands.length === 0) return;
  await look(
    findings,
    'check commands',
    () => {
      const missing = commands.filter((file) => !existsSync(file));
      if (missing.length === 0) return Promise.resolve([true, commands.join(', ')]);
      throw new CliError(
        `not on this machine: ${missing.join(', ')}; a relative command is relative to the settings file`,
        exitCodes.unreachable,
      );
    },
    { isElsewhere: !isWorkersMachine(loaded) },
  );
}
