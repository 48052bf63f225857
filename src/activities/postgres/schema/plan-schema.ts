import { join } from 'node:path';
import { digestPlan } from '../../../contract/digest.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Plan, Target } from '../../../contract/plan.ts';
import { counted, printable } from '../../../contract/printable.ts';
import { refused } from '../../failures.ts';
import type { Clusters } from '../../kubernetes/api.ts';
import { Database } from '../database.ts';
import { checksOf } from '../restore/plan-services.ts';
import { listScripts, losses, readScript, type ScriptText, whyNotInTransaction } from './script.ts';
import { compareVersions, noVersion } from './tools.ts';
import {
  latestOf,
  type MigrationChange,
  readVersions,
  type Versions,
  versionsOf,
} from './versions.ts';

/** Lines of each script that people are shown. */
const shownLines = 15;
/** A plan has a limited size; of later ones only the names are told. */
const shownScripts = 50;

interface PlannedStep {
  change: MigrationChange;
  down: ScriptText;
}

/**
 * Plans R11: which scripts take the schema back to a version, step by step. Reads only; needs no
 * Temporal.
 * @throws Refused where a script is missing or cannot run in a transaction, and for a version that is
 *   not applied.
 */
export async function planSchema(
  _clusters: Clusters,
  loaded: LoadedSettings,
  input: InputOf<'schema'>,
): Promise<Plan> {
  const database = new Database(loaded.settings, input.database);
  const versions = versionsOf(database);
  const files = await listScripts(versions.folder);
  const [target, applied] = await database.session(
    async (client) =>
      [await database.target(client), await readVersions(client, versions, files)] as const,
  );
  const now = latestOf(applied);
  const wanted = input.to === noVersion ? noVersion : findVersion(applied, input.to);
  if (wanted === undefined) throw notApplied(database, applied, input.to);
  const path = [noVersion, ...applied];
  const toTakeBack = path.slice(path.lastIndexOf(wanted) + 1).reverse();
  const steps: PlannedStep[] = [];
  for (const version of toTakeBack) {
    const before = path[path.lastIndexOf(version) - 1] ?? noVersion;
    steps.push(await stepOf(target, versions, files, { version, before, now }));
  }
  const where = `of database ${database.name} on ${database.address}`;
  const checks = checksOf(loaded, database);
  return digestPlan({
    procedure: 'schema',
    targets: steps.length === 0 ? [] : [target],
    changes: steps.map(({ change }) => change),
    summary:
      steps.length === 0
        ? `The schema ${where} is already at version ${now}.`
        : `The schema ${where} goes back from version ${now} to ${wanted}, in ${counted(steps.length, 'step')}, each in a transaction of its own.`,
    differences: steps.flatMap(({ change, down }, index) => [
      `${change.before.version} -> ${change.after.version} by ${down.file}${index < shownScripts ? ':' : ''}`,
      ...(index < shownScripts ? shown(down, versions.folder) : []),
    ]),
    warnings: steps.flatMap(({ change, down }) => [
      ...losses(down.sql).map(
        (statement) => `${down.file} throws rows away: ${printable(statement)}`,
      ),
      ...(change.after.forward === null
        ? [
            `There is no script that brings version ${change.before.version} on again in a transaction: no abort can undo this step.`,
          ]
        : []),
    ]),
    checks: steps.length === 0 ? [] : checks,
    estimateSeconds: steps.length * 2,
  });
}

/** An applied version as it is written there: 7 is 007. */
function findVersion(applied: readonly string[], wanted: string): string | undefined {
  return (
    applied.find((version) => version === wanted) ??
    applied.find((version) => compareVersions(version, wanted) === 0)
  );
}

function notApplied(database: Database, applied: readonly string[], wanted: string): Error {
  const latest = applied.slice(-5).reverse().join(', ');
  return refused(
    `Version ${printable(wanted)} is not applied to ${database.name}: ${latest === '' ? 'none is' : `the latest are ${latest}`}. Name one of them, or ${noVersion} for none (rollback history schema/${database.key}).`,
  );
}

/** @throws Refused */
async function stepOf(
  target: Target,
  { tool, folder }: Versions,
  files: readonly string[],
  { version, before, now }: { version: string; before: string; now: string },
): Promise<PlannedStep> {
  const found = tool.down(files, version, before);
  if (!found) {
    throw refused(
      `There is no ${tool.downName(version, before)} in ${folder}, the script that takes the schema from version ${version} back to ${before}: add it${version === now ? '' : `, or go back to ${version} only`}.`,
    );
  }
  const down = await readScript(folder, found);
  const why = down.sql.trim() === '' ? 'it is empty' : whyNotInTransaction(down.sql);
  if (why !== undefined) {
    throw refused(
      `Script ${down.file} cannot run as a step of its own that is whole or not at all: ${why}. Run it by hand with psql, record version ${before}, and start again.`,
    );
  }
  const up = tool.up(files, version);
  const forward = up && (await readScript(folder, up));
  const isUsable = forward && forward.sql.trim() !== '' && !whyNotInTransaction(forward.sql);
  return {
    down,
    change: {
      ...{ id: `migration/${version}`, kind: 'schema/migration', target, before: { version } },
      after: {
        ...{ version: before, script: down.file, sha256: down.sha256 },
        forward: isUsable ? forward.file : null,
        forwardSha256: isUsable ? forward.sha256 : null,
      },
    },
  };
}

function shown({ file, sql }: ScriptText, folder: string): string[] {
  const lines = sql.split('\n').filter((line) => line.trim() !== '');
  const rest = lines.length - shownLines;
  return [
    ...lines.slice(0, shownLines).map((line) => `  ${printable(cut(line))}`),
    ...(rest > 0 ? [`  ... and ${rest} more lines: read ${join(folder, file)} on the worker`] : []),
  ];
}

function cut(line: string): string {
  return line.length > 200 ? `${line.slice(0, 200)} ...` : line;
}
