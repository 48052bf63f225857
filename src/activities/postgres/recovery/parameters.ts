import { join } from 'node:path';
import type { RecoverySettings } from '../../../config/databases.ts';

/** What a cluster says of itself, by the names that pg_controldata has for it. */
export type ControlData = ReadonlyMap<string, string>;

export interface RecoveryPlace {
  settings: RecoverySettings;
  /** Folder of the recovering server, with its files in `data`. */
  folder: string;
  /** ISO 8601 in UTC, to the microsecond. */
  to: string;
}

/**
 * What the recovering server is told, as `postgresql.conf`. Nothing of the live server's: this one
 * listens in its own folder only, archives nothing over what it recovers from, and does nothing by
 * itself, whatever it loads: for its subscriptions it would read the live ones' slots.
 * (PostgreSQL, 20: server configuration; 26.3.5: recovering using a continuous archive backup.)
 */
export function recoveryParameters({ settings, folder, to }: RecoveryPlace): string {
  return lines({
    ...{ listen_addresses: '', unix_socket_directories: folder, port: '5432' },
    hba_file: join(folder, 'pg_hba.conf'),
    ident_file: join(folder, 'pg_ident.conf'),
    ...{ hot_standby: 'off', autovacuum: 'off' },
    // A power cut loses it, and it is made anew then.
    ...{ fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' },
    ...{ log_destination: 'stderr', logging_collector: 'off', log_line_prefix: '' },
    ...{ lc_messages: 'C', log_timezone: 'UTC', timezone: 'UTC' },
    restore_command: settings.restoreCommand ?? `cp ${shellQuoted(join(settings.wal, '%f'))} "%p"`,
    // Neither a T nor a Z is understood here.
    recovery_target_time: to.replace('T', ' ').replace('Z', '+00'),
    recovery_target_action: 'promote',
    ...settings.parameters,
    // Also where an extension needs its library: pg_cron would do its jobs here as well.
    ...{ archive_mode: 'off', max_logical_replication_workers: '0', max_worker_processes: '0' },
  });
}

/** Parameters that are taken over from the live server: what was prepared and left finds its place, and pg_dump its locks. */
const sizes = {
  max_connections: 'max_connections setting',
  max_prepared_transactions: 'max_prepared_xacts setting',
  max_locks_per_transaction: 'max_locks_per_xact setting',
};
/** Since PostgreSQL 17 a login may run a trigger. */
const loginTriggers = { version: 'pg_control version number', since: 1700 };

/** The rest of `postgresql.conf`, by the files of the cluster. */
export function sizeParameters(control: ControlData): string {
  const found = Object.entries(sizes).flatMap(([parameter, name]) => {
    const size = control.get(name);
    return size === undefined ? [] : [[parameter, size] as const];
  });
  const hasTriggers = Number(control.get(loginTriggers.version)) >= loginTriggers.since;
  return lines({ ...Object.fromEntries(found), ...(hasTriggers ? { event_triggers: 'off' } : {}) });
}

/** The same, as expressions of sed over what pg_controldata says. */
export const sizeExpressions = [
  ...Object.entries(sizes).map(([parameter, name]) => `s/^${name}: */${parameter} = /p`),
  `s/^${loginTriggers.version}: *(1[7-9]|[2-9]).*/event_triggers = off/p`,
].join('; ');

function lines(parameters: Record<string, string>): string {
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
