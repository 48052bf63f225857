/** Changes of databases as commands of psql and pg_restore. The password stays with `PGPASSWORD` or ~/.pgpass. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { marker } from '../../activities/postgres/comments.ts';
import { Database, identifier, literal } from '../../activities/postgres/database.ts';
import { byHand, type Note } from '../../activities/postgres/notes.ts';
import {
  addressIn,
  recoveryParameters,
  sizeExpressions,
  unpackCommands,
} from '../../activities/postgres/recovery/parameters.ts';
import { optionsSql } from '../../activities/postgres/restore/make-copy.ts';
import {
  derivedName,
  type RestoreChange,
  type SwapChange,
} from '../../activities/postgres/restore/restore-change.ts';
import {
  becomeOwner,
  latestSql,
  type MigrationChange,
  versionsOf,
} from '../../activities/postgres/schema/versions.ts';
import type { SessionChange } from '../../activities/postgres/sessions/sessions.ts';
import type { Settings } from '../../config/schema.ts';
import { hashOf } from '../../contract/digest.ts';
import type { Plan } from '../../contract/plan.ts';
import { printable } from '../../contract/printable.ts';
import { type CommandsOf, quote } from './shell.ts';

/** How each kind of change of a database is made by hand. */
export const databaseCommands: Record<string, CommandsOf> = {
  'database/sessions': (change, _, settings) => sessionCommands(change as SessionChange, settings),
  'schema/migration': (change, plan, settings) =>
    migrationCommands(change as MigrationChange, plan, settings),
  'database/restore': (change, plan, settings) =>
    restoreCommands(change as RestoreChange, plan, settings),
  'database/swap': (change, _, settings) => swapCommands(change as SwapChange, settings),
};

/** psql that stops at the first error, connected to a database of the server. */
function psql(database: Database, name: string, flags = ''): string {
  const { address } = database.forPrograms(name);
  return `psql -X -q -v ON_ERROR_STOP=1${flags} -d ${quote(address)}`;
}

function asCommand(sql: string): string {
  return `-c ${quote(sql)}`;
}

/** Ends the transaction of the plan, and no other. */
function sessionCommands({ target, before }: SessionChange, settings: Settings): string[] {
  const database = new Database(settings, target.namespace);
  const { pid, backendStart, transactionStart } = before;
  const sql = `select pg_terminate_backend(pid) from pg_stat_activity where pid = ${pid} and extract(epoch from backend_start) = ${backendStart} and extract(epoch from xact_start) = ${transactionStart}`;
  return [`${psql(database, database.settings.maintenance)} ${asCommand(sql)} || exit 1`];
}

/**
 * The script in one transaction, while its version is the latest one. What an earlier execution of the
 * same commands has taken back is left out, so that they go on where they have ended.
 */
function migrationCommands(
  { target, before, after }: MigrationChange,
  { changes }: Plan,
  settings: Settings,
): string[] {
  const database = new Database(settings, target.namespace);
  const versions = versionsOf(database);
  const { tool, table, folder } = versions;
  const steps = changes.filter(({ kind }) => kind === 'schema/migration') as MigrationChange[];
  const goals = steps.map((step) => step.after.version);
  const done = goals.slice(goals.indexOf(after.version)).map(quote).join('|');
  const isInPart = tool.down([after.script], before.version, after.version)?.part !== undefined;
  const file = `${folder}/${after.script}`;
  return [
    `version="$(${psql(database, database.name)} -At ${asCommand(latestSql(versions))})" || exit 1`,
    'case "$version" in',
    `  ${done}) echo ${quote(`Version ${before.version} is taken back already: nothing is done for it.`)};;`,
    ...(isInPart
      ? [
          `  *) echo ${quote(`Not done here: take the part "-- Down Migration" of ${file} and run it, as the owner of ${table}, in a transaction with ${tool.recordDown(table, before.version, after.version)}.`)} >&2; exit 1;;`,
        ]
      : [
          `  *) echo ${quote(`${after.sha256}  ${file}`)} | sha256sum --check --quiet || exit 1`,
          `    ${migration(database, { before, after }, file)} || exit 1;;`,
        ]),
    'esac',
  ];
}

/** Whoever else migrates waits for the lock of the versions, as for a run. */
function migration(
  database: Database,
  { before, after }: Pick<MigrationChange, 'before' | 'after'>,
  file: string,
): string {
  const versions = versionsOf(database);
  const { tool, table } = versions;
  const latest = `(${latestSql(versions)})`;
  const [from, to] = [before.version, after.version].map(literal);
  const unless = (condition: string, message: string) =>
    `if not (${condition}) then raise exception using message = ${message}; end if;`;
  const guard = [
    ...(tool.dirty
      ? [
          unless(
            `not exists (${tool.dirty(table).replaceAll(/\s+/g, ' ')})`,
            literal(
              `Table ${table} says that a migration has failed halfway: put that right by hand first.`,
            ),
          ),
        ]
      : []),
    unless(
      `${latest} = ${from}`,
      `format('The schema is at version %s, and not at %s: somebody has migrated it. Nothing was changed; ask for the commands again.', ${latest}, ${from})`,
    ),
  ];
  // Many scripts record their version themselves.
  const record = [
    `if ${latest} = ${from} then ${tool.recordDown(table, before.version, after.version)}; end if;`,
    unless(
      `${latest} = ${to}`,
      `format('The script would leave version %s, and not %s: nothing was changed. Mend the script.', ${latest}, ${to})`,
    ),
  ];
  return [
    psql(database, database.name, ' -1'),
    ...[
      "set lock_timeout = '2s'",
      `lock table ${table} in share row exclusive mode`,
      `do $guard$ begin ${guard.join(' ')} end $guard$`,
      becomeOwner(table),
    ].map(asCommand),
    `-f ${quote(file)}`,
    ...['reset role', `do $record$ begin ${record.join(' ')} end $record$`].map(asCommand),
  ].join(' ');
}

/** Restores beside the live database; not again where the copy is there. */
function restoreCommands(
  { target, after }: RestoreChange,
  { changes }: Plan,
  settings: Settings,
): string[] {
  const database = new Database(settings, target.namespace);
  const { folder = '', jobs = 1, recovery } = database.settings.backups ?? {};
  const place = join(recovery?.scratch ?? tmpdir(), `by-hand-${hashOf(after.copy).slice(0, 8)}`);
  const isRecovery = after.recoverTo != null;
  const dump = isRecovery ? join(place, 'dump') : join(folder, after.backup);
  const maintenance = psql(database, database.settings.maintenance);
  const { address } = database.forPrograms(after.copy);
  const options = optionsSql.replaceAll(/\s+/g, ' ').replace('$1', () => literal(target.name));
  const make = `select format('create database %I template template0 ', ${literal(after.copy)}) || (${options})`;
  const swap = changes.find(({ kind }) => kind === 'database/swap') as SwapChange | undefined;
  return [
    ...(swap ? [isStillLive(database, swap)] : []),
    ...(isRecovery ? recoveryCommands(database, after, place) : [isSameDump(dump, after)]),
    `${maintenance} -At -c ${quote(make)} | ${maintenance} || exit 1`,
    `pg_restore --dbname=${quote(address)} --jobs=${jobs} --exit-on-error ${quote(dump)} || exit 1`,
    ...(isRecovery ? [`rm -rf ${quote(place)}`] : []),
    `${maintenance} -c ${quote(noteRestored(target.name, after))} || exit 1`,
    `vacuumdb --analyze-only --jobs=${jobs} --dbname=${quote(address)}`,
    '# Look at the copy before you go on.',
  ];
}

/** Notes on the copy what it was restored from, as a run does. */
function noteRestored(live: string, { copy, backup }: RestoreChange['after']): string {
  const note = `${literal(marker)} || (${doneByHand({ state: 'restored', of: live, backup })})::text`;
  return `do $note$ begin execute format('comment on database %I is %L', ${literal(copy)}, ${note}); end $note$`;
}

/** Expression of a note that the commands make, with the time at which they do. */
function doneByHand(note: Partial<Note>): string {
  const at = `to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  return `${literal(JSON.stringify({ ...byHand, ...note }))}::jsonb || jsonb_build_object('at', ${at})`;
}

/** Stops where the dump is not the one that was planned, by its size and its latest change. */
function isSameDump(dump: string, { bytes, modifiedAt }: RestoreChange['after']): string {
  const seconds = Math.floor(Date.parse(modifiedAt) / 1000);
  const sum = `{ bytes += $1; if ($2 > at) at = $2 } END { printf "%.0f %d", bytes, at }`;
  const why = `${dump} is not what it was when this was planned.`;
  return `[ "$(find ${quote(dump)} -type f -printf '%s %T@\\n' | awk ${quote(sum)})" = '${bytes} ${seconds}' ] || { echo ${quote(why)} >&2; exit 1; }`;
}

/**
 * A server in a folder of its own recovers the base backup to the time, and is dumped. Whoever runs
 * them must not be root, with whom PostgreSQL does not run.
 */
function recoveryCommands(
  database: Database,
  { backup, recoverTo }: RestoreChange['after'],
  place: string,
): string[] {
  const { recovery: settings, jobs = 1 } = database.settings.backups ?? {};
  if (!settings) return [];
  const maintenance = psql(database, database.settings.maintenance);
  const path = join(settings.base, backup);
  const data = quote(join(place, 'data'));
  const parameters = recoveryParameters({ settings, folder: place, to: recoverTo ?? '' });
  const file = (name: string) => quote(join(place, name));
  return [
    `${maintenance} -At -c 'select txid_current()' -c 'select pg_switch_wal()' >/dev/null || exit 1`,
    `mkdir -m 700 ${quote(place)} || exit 1`,
    `sh -ec ${quote(unpackCommands)} unpack ${quote(path)} ${data} || exit 1`,
    `pg_verifybackup --no-parse-wal --quiet ${data} || exit 1`,
    `printf %s ${quote(parameters)} > ${file('postgresql.conf')}`,
    `LC_ALL=C pg_controldata -D ${data} | sed -nE ${quote(sizeExpressions)} >> ${file('postgresql.conf')}`,
    `echo 'local all all trust' > ${file('pg_hba.conf')}; : > ${file('pg_ident.conf')}; : > ${file('data/postgresql.auto.conf')}; : > ${file('data/recovery.signal')}`,
    `pg_ctl -D ${data} -o ${quote(`-c config_file=${file('postgresql.conf')}`)} -l ${file('log')} -W start`,
    `until pg_isready -q -h ${quote(place)} -p 5432; do sleep 1; pg_ctl -D ${data} status >/dev/null || { tail ${file('log')}; exit 1; }; done`,
    `user=$(${maintenance} -At -c 'select rolname from pg_roles where oid = 10')`,
    `pg_dump --dbname=${quote(addressIn(place, database.name))} --username="$user" --format=directory --compress=0 --jobs=${jobs} --file=${file('dump')} || exit 1`,
    `pg_ctl -D ${data} -m immediate stop && rm -rf ${data}`,
  ];
}

/**
 * Both renamed in one transaction, while the sessions of the live one are ended beside it. Settings
 * and grants of a database do not go over with its name; its comment and its connection limit do.
 */
function swapCommands(change: SwapChange, settings: Settings): string[] {
  const { target, after } = change;
  const database = new Database(settings, target.namespace);
  const maintenance = psql(database, database.settings.maintenance);
  const aside = derivedName(target.name, 'old', new Date());
  const end = `select pg_terminate_backend(pid) from pg_stat_activity where datname = ${literal(target.name)} and pid <> pg_backend_pid()`;
  const names = [target.name, aside, after.incoming].map(identifier);
  const pooled = identifier(database.settings.pooler?.database ?? target.name);
  const swap = `begin; alter database ${names[0]} rename to ${names[1]}; alter database ${names[2]} rename to ${names[0]}; ${carryOver(target.name, aside)}; commit`;
  return [
    isStillLive(database, change),
    ...(database.settings.pooler
      ? [printable(`# PgBouncer: PAUSE ${pooled} before, RESUME ${pooled} afterwards.`)]
      : []),
    `(for i in 1 2 3 4 5 6; do sleep 0.1; ${maintenance} -c ${quote(end)} >/dev/null; done) & ${maintenance} -c ${quote(swap)} || { wait; exit 1; }; wait`,
    printable(
      `# Settings and grants of ${target.name} stay with ${aside}: see \\drds and \\l in psql, and give them anew.`,
    ),
  ];
}

/** Once both are renamed: gives the live database its comment and limit again, and notes on both what they are. */
function carryOver(live: string, aside: string): string {
  const said = `shobj_description(oid, 'pg_database')`;
  const comment = `nullif(rtrim(split_part(${said}, ${literal(marker)}, 1), ' ' || chr(10)), '')`;
  const note = `substring(${said} from ${literal(`${marker}(.*)$`)})::jsonb`;
  const noteOn = (name: string, value: string) =>
    `execute format('comment on database %I is %L', ${literal(name)}, concat_ws(chr(10), b.comment, ${literal(marker)} || jsonb_strip_nulls(${value})::text))`;
  const was = (row: string, state: Note['state']) =>
    `jsonb_build_object('state', ${literal(state)}, 'was', ${row}.note - 'was')`;
  return [
    `do $swap$ declare b record; n record; done jsonb := ${doneByHand({ of: live })}; begin`,
    `select datconnlimit, ${comment} as comment, ${note} as note into b from pg_database where datname = ${literal(aside)};`,
    `select ${note} as note into n from pg_database where datname = ${literal(live)};`,
    `execute format('alter database %I connection limit %s', ${literal(live)}, b.datconnlimit);`,
    `${noteOn(live, `coalesce(n.note, '{}') || done || ${was('n', 'live')}`)};`,
    `${noteOn(aside, `done || ${was('b', 'old')}`)}; end $swap$`,
  ].join(' ');
}

/** Stops where the live database is not the one that was planned for: it was swapped already. */
function isStillLive(database: Database, { before }: SwapChange): string {
  const oid = `select oid from pg_database where datname = ${literal(database.name)}`;
  const why = `${database.name} is another database now than when this was planned.`;
  return `[ "$(${psql(database, database.settings.maintenance)} -At -c ${quote(oid)})" = ${before.oid} ] || { echo ${quote(why)} >&2; exit 1; }`;
}
