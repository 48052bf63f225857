/** Base backups, as their manifests tell them. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hashOf } from '../../../contract/digest.ts';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';

export interface BaseBackup {
  /** Name of its folder. */
  name: string;
  path: string;
  /** In the format of tar rather than as plain files. */
  isTar: boolean;
  /** When it was complete: it goes back to no earlier time. */
  endedAt: Date;
}

export interface Manifest {
  /** Bytes of all its files as they are restored. */
  bytes: number;
  /** SHA-256 of the manifest, which has a checksum of every file. */
  contents: string;
  /** Position in the WAL at which recovery begins. */
  start: string;
  /** Identity of the server; since PostgreSQL 17. */
  server: string | undefined;
}

const manifestSchema = z.object({
  'System-Identifier': z.coerce.string().optional(),
  Files: z.array(z.object({ Path: z.string().optional(), Size: z.number() })),
  'WAL-Ranges': z.array(z.object({ 'Start-LSN': z.string() })).min(1),
});

/** Base backups of the settings' folder, the newest first; folders without a manifest are none, or not complete. */
export async function listBaseBackups({ key, settings }: Database): Promise<BaseBackup[]> {
  const { base } = settings.backups?.recovery ?? {};
  if (base === undefined) return [];
  const folders = await readdir(base, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      throw refused(
        `Folder ${base} of base backups cannot be read on this worker (${error.code}): mount it, or name another in databases.${key}.backups.recovery.base.`,
      );
    },
  );
  const found: BaseBackup[] = [];
  for (const { name } of folders.filter((one) => one.isDirectory())) {
    const path = join(base, name);
    // pg_basebackup writes it last.
    const manifest = await stat(join(path, 'backup_manifest')).catch(() => undefined);
    if (!manifest) continue;
    const files = await readdir(path);
    const isTar = files.some((file) => file.startsWith('base.tar'));
    found.push({ name, path, isTar, endedAt: manifest.mtime });
  }
  return found.toSorted((one, other) => other.endedAt.getTime() - one.endedAt.getTime());
}

/**
 * Reads what a base backup consists of.
 * @throws Refused where it cannot be recovered from.
 */
export async function readManifest({ name, path }: BaseBackup): Promise<Manifest> {
  const text = await readFile(join(path, 'backup_manifest'), 'utf8');
  // Beyond what a number holds exactly, which JSON.parse would round.
  const quoted = text.replace(/"System-Identifier": (\d+)/, '"System-Identifier": "$1"');
  let parsed;
  try {
    parsed = manifestSchema.parse(JSON.parse(quoted));
  } catch {
    throw refused(`The manifest of base backup ${path} is damaged: take another.`);
  }
  const paths = parsed.Files.map((file) => file.Path ?? '');
  if (paths.some((one) => one.startsWith('pg_tblspc/'))) {
    throw refused(
      `Base backup ${name} has tablespaces, which would be recovered over the live ones: it is left to people.`,
    );
  }
  if (paths.some((one) => /(^|\/)INCREMENTAL\./.test(one))) {
    throw refused(
      `Base backup ${name} is incremental: make it a full one with pg_combinebackup first.`,
    );
  }
  return {
    bytes: parsed.Files.reduce((sum, { Size }) => sum + Size, 0),
    contents: hashOf(text),
    start: parsed['WAL-Ranges'][0]?.['Start-LSN'] ?? '',
    server: parsed['System-Identifier'],
  };
}
