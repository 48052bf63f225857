/** The clearing of caches as redis-cli commands; the password comes from REDISCLI_AUTH. */
import { hostAndPort, placeOf, sentinelPort } from '../../activities/redis/connect.ts';
import type { ClearingChange, FlushChange } from '../../activities/redis/cache-change.ts';
import { escaped } from '../../activities/redis/keys.ts';
import type { CacheSettings } from '../../config/caches.ts';
import type { Settings } from '../../config/schema.ts';
import type { Target } from '../../contract/plan.ts';
import { quote, quotedFile } from './shell.ts';

/** Keys by name and by prefix; whatever is not there any more is no harm. */
export function clearingCommands({ target, after }: ClearingChange, settings: Settings): string[] {
  const cache = settings.caches[target.namespace] as CacheSettings;
  const { before, cli } = redisCli(target, cache);
  const keys = JSON.parse(after.keys) as string[];
  const prefixes = JSON.parse(after.prefixes) as string[];
  return [
    ...before,
    ...keys.map((key) => `${cli} UNLINK ${quote(key)} || exit 1`),
    ...prefixes.flatMap((prefix) => prefixCommands(prefix, cli, cache)),
  ];
}

/** On the very server that was planned, or on every master of the cluster. */
export function flushCommands({ kind, target }: FlushChange, settings: Settings): string[] {
  const cache = settings.caches[target.namespace] as CacheSettings;
  const { before, cli } = redisCli(target, cache);
  const flush = kind === 'cache/flush-all' ? 'FLUSHALL' : 'FLUSHDB';
  if (cache.cluster) return [...before, ...onMasters(cli, (one) => `${one} ${flush} ASYNC`)];
  const runId = `${cli} INFO server | tr -d '\\r' | sed -n 's/^run_id://p'`;
  return [
    ...before,
    `[ "$(${runId})" = ${quote(target.uid)} ] || { echo 'Cache ${target.namespace} is another server by now, or was restarted: nothing is emptied.' >&2; exit 1; }`,
    `${cli} ${flush} ASYNC || exit 1`,
  ];
}

function redisCli({ namespace }: Target, cache: CacheSettings): { before: string[]; cli: string } {
  const { host, port, database, username, password, isTls } = placeOf(cache);
  const tls = isTls ? ['--tls', ...tlsFlags(cache)] : [];
  const before = passwordCommands(password, namespace);
  const flags = [
    ...tls,
    ...(username ? [`--user ${quote(username)}`] : []),
    ...(database > 0 && !cache.cluster ? [`-n ${database}`] : []),
    ...(cache.cluster ? ['-c'] : []),
  ].map((flag) => ` ${flag}`);
  if (!cache.sentinel) {
    return { before, cli: `redis-cli -e${flags.join('')} -h ${quote(host)} -p ${port}` };
  }
  return {
    before: [...before, ...masterCommands(cache.sentinel, tls)],
    cli: `redis-cli -e${flags.join('')} -h "$1" -p "$2"`,
  };
}

function passwordCommands(
  password: ReturnType<typeof placeOf>['password'],
  cache: string,
): string[] {
  if (password === '') return [];
  const where = (name: string) =>
    `"\${${name}:?set it to the password of cache ${cache}, and export it}"`;
  if (typeof password === 'string') return [`: ${where('REDISCLI_AUTH')}`];
  const value = 'env' in password ? where(password.env) : `"$(cat ${quotedFile(password.file)})"`;
  return [
    `REDISCLI_AUTH=${password.prefix && quote(password.prefix)}${value}`,
    'export REDISCLI_AUTH',
  ];
}

/** Asks one sentinel after the other, with their own credentials, and leaves host and port as $1 and $2. */
function masterCommands(
  { master, nodes }: NonNullable<CacheSettings['sentinel']>,
  tls: readonly string[],
): string[] {
  const { username, password } = new URL(nodes[0] ?? '');
  const auth = password ? 'REDISCLI_AUTH="$SENTINEL_AUTH" ' : 'env -u REDISCLI_AUTH ';
  const flags = [...tls, ...(username ? [`--user ${quote(decodeURIComponent(username))}`] : [])];
  const cli = ['redis-cli', ...flags].join(' ');
  const places = nodes.map((node) => {
    const { host, port } = hostAndPort(node, sentinelPort);
    return `${host} ${port}`;
  });
  return [
    ...(password ? [': "${SENTINEL_AUTH:?set it to the password of the sentinels}"'] : []),
    `for node in ${places.map(quote).join(' ')}; do`,
    `  set -- $(${auth}${cli} -h "\${node% *}" -p "\${node#* }" SENTINEL get-master-addr-by-name ${quote(master)})`,
    '  [ -n "$2" ] && break',
    'done',
    `[ -n "$2" ] || { echo 'No sentinel names the master of ${master}.' >&2; exit 1; }`,
  ];
}

function tlsFlags({ tls }: CacheSettings): string[] {
  const files = { '--cacert': tls?.ca, '--cert': tls?.cert, '--key': tls?.key };
  return Object.entries(files).flatMap(([flag, file]) =>
    file ? [`${flag} ${quotedFile(file)}`] : [],
  );
}

/**
 * Scans into a file first, so that a server that is gone is no empty one. The file has keys as redis-cli
 * quotes and reads them, whatever bytes are in them.
 */
function prefixCommands(prefix: string, cli: string, { cluster }: CacheSettings): string[] {
  const pattern = quote(`${escaped(prefix)}*`);
  const commands = (one: string) =>
    `${one} --no-raw --scan --pattern ${pattern} >"$keys" && [ "$(sed 's/^/UNLINK /' "$keys" | ${one} | grep -c '^[0-9]')" -eq "$(wc -l <"$keys")" ]`;
  return [
    `keys="$(mktemp)" && trap 'rm -f "$keys"' EXIT || exit 1`,
    ...(cluster ? onMasters(cli, commands) : [`{ ${commands(cli)}; } || ${notAll}`]),
    'rm -f "$keys"',
  ];
}

const notAll = `{ echo 'Not all keys could be deleted.' >&2; exit 1; }`;

/** A command for each master of a cluster, as the node that is named tells them. */
function onMasters(cli: string, command: (one: string) => string): string[] {
  const masters = `awk '$3 ~ /master/ { sub(/@.*/, "", $2); print $2 }'`;
  const one = `${cli.replace(' -c ', ' ').replace(/ -h .*$/, '')} -h "\${node%:*}" -p "\${node##*:}"`;
  return [
    `nodes="$(${cli} CLUSTER NODES | ${masters})"; [ -n "$nodes" ] || exit 1`,
    `for node in $nodes; do { ${command(one)}; } || ${notAll}; done`,
  ];
}
