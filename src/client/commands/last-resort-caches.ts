/** The clearing of caches as redis-cli commands; the password comes from REDISCLI_AUTH. */
import { placeOf } from '../../activities/redis/connect.ts';
import type { ClearingChange, FlushChange } from '../../activities/redis/cache-change.ts';
import { escaped } from '../../activities/redis/keys.ts';
import type { CacheSettings } from '../../config/caches.ts';
import type { Settings } from '../../config/schema.ts';
import type { Target } from '../../contract/plan.ts';
import { quote } from './shell.ts';

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
  const before = password
    ? [`: "\${REDISCLI_AUTH:?set it to the password of cache ${namespace}, and export it}"`]
    : [];
  const flags = [
    ...(isTls ? ['--tls', ...tlsFlags(cache)] : []),
    ...(username ? [`--user ${quote(username)}`] : []),
    ...(database > 0 && !cache.cluster ? [`-n ${database}`] : []),
    ...(cache.cluster ? ['-c'] : []),
  ].map((flag) => ` ${flag}`);
  if (!cache.sentinel) {
    return { before, cli: `redis-cli -e${flags.join('')} -h ${quote(host)} -p ${port}` };
  }
  const { master } = cache.sentinel;
  const ask = `redis-cli -h ${quote(host)} -p ${port} SENTINEL get-master-addr-by-name ${quote(master)}`;
  return {
    before: [...before, `set -- $(${ask}); [ -n "$2" ] || exit 1`],
    cli: `redis-cli -e${flags.join('')} -h "$1" -p "$2"`,
  };
}

function tlsFlags({ tls }: CacheSettings): string[] {
  const files = { '--cacert': tls?.ca, '--cert': tls?.cert, '--key': tls?.key };
  return Object.entries(files).flatMap(([flag, file]) => (file ? [`${flag} ${quote(file)}`] : []));
}

function prefixCommands(prefix: string, cli: string, { cluster }: CacheSettings): string[] {
  const pattern = quote(`${escaped(prefix)}*`);
  const unlink = `xargs -r -d '\\n' -n ${cluster ? 1 : 500} ${cli} UNLINK`;
  if (!cluster) return [`${cli} --scan --pattern ${pattern} | ${unlink} || exit 1`];
  return onMasters(cli, (one) => `${one} --scan --pattern ${pattern} | ${unlink}`);
}

/** A command for each master of a cluster, as the node that is named tells them. */
function onMasters(cli: string, command: (one: string) => string): string[] {
  const masters = `awk '$3 ~ /master/ { sub(/@.*/, "", $2); print $2 }'`;
  const one = `${cli.replace(' -c ', ' ').replace(/ -h .*$/, '')} -h "\${node%:*}" -p "\${node##*:}"`;
  return [
    `nodes="$(${cli} CLUSTER NODES | ${masters})"; [ -n "$nodes" ] || exit 1`,
    `for node in $nodes; do ${command(one)} || exit 1; done`,
  ];
}
