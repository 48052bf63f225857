import { join } from 'node:path';
import type { RecoverySettings } from '../../../config/databases.ts';

export interface RecoveryPlace {
  settings: RecoverySettings;
  /** Folder of the recovering server, with its files in `data`. */
  folder: string;
  to: Date;
  /** What was prepared and left has to find its place again. */
  preparedTransactions: string;
}

/**
 * All that the recovering server is told, as `postgresql.conf`. Nothing of the live server's: this one
 * listens in its own folder only, archives nothing over what it recovers from, and loads nothing.
 * (PostgreSQL, 20: server configuration; 26.3.5: recovering using a continuous archive backup.)
 */
export function recoveryParameters({
  settings,
  folder,
  to,
  preparedTransactions,
}: RecoveryPlace): string {
  const parameters = {
    ...{ listen_addresses: '', unix_socket_directories: folder, port: '5432' },
    hba_file: join(folder, 'pg_hba.conf'),
    ident_file: join(folder, 'pg_ident.conf'),
    ...{ archive_mode: 'off', hot_standby: 'off', autovacuum: 'off' },
    // A power cut loses it, and it is made anew then.
    ...{ fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' },
    ...{ log_destination: 'stderr', logging_collector: 'off', log_line_prefix: '' },
    ...{ lc_messages: 'C', log_timezone: 'UTC', timezone: 'UTC' },
    max_prepared_transactions: preparedTransactions,
    restore_command: settings.restoreCommand ?? `cp ${shellQuoted(join(settings.wal, '%f'))} "%p"`,
    // Neither a T nor a Z is understood here.
    recovery_target_time: to.toISOString().replace('T', ' ').replace('Z', '+00'),
    recovery_target_action: 'promote',
    ...settings.parameters,
  };
  return Object.entries(parameters)
    .map(([name, value]) => `${name} = '${value.replace(/[\\']/g, '$&$&')}'\n`)
    .join('');
}

/**
 * Shell commands that make the folder `$2` of a server's files from the base backup `$1`: a copy, or what
 * is in both tars of pg_basebackup, compressed or not, and the manifest beside them.
 */
export const unpackCommands = [
  'if ! ls "$1"/base.tar* >/dev/null 2>&1; then cp -a -- "$1" "$2"; chmod 700 "$2"; exit; fi',
  'mkdir -m 700 "$2"; tar -xf "$1"/base.tar* -C "$2"; mkdir -p "$2/pg_wal"',
  'for wal in "$1"/pg_wal.tar*; do if [ -e "$wal" ]; then tar -xf "$wal" -C "$2/pg_wal"; fi; done',
  'cp "$1/backup_manifest" "$2"',
].join('; ');

/** How libpq is told where a server in a folder is (PostgreSQL, 34.1.1.1: keyword/value strings). */
export function addressIn(folder: string, database: string): string {
  const value = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  return `host=${value(folder)} port=5432 dbname=${value(database)}`;
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
