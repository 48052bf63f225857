/** Connections to a cache of the settings: each is opened for one piece of work, and closed after it. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { CacheSettings } from '../../config/caches.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { refused } from '../failures.ts';
import { readSecret } from '../secret.ts';
import { asCacheError, CacheUnreachable, isClosed } from './errors.ts';
import { Master } from './master.ts';

/** A cache that is open. */
export interface OpenCache {
  /** Name in the settings. */
  name: string;
  /** Host and port by which it is reached; of a cluster, those of the first node that is named. */
  address: string;
  /** The run ID of the master, or of a cluster the first of its nodes' IDs in alphabetical order. */
  uid: string;
  isCluster: boolean;
  /** Number of the database that keys are in. */
  database: number;
  /** For commands on named keys: a cluster's client finds the node that has them. */
  client: Redis | Cluster;
  /** Every master: what has no key in it is done on each. */
  masters: Master[];
}

/**
 * Opens a cache, works with it, and closes it.
 * @throws Refused where the settings have no such cache, or name what is no master.
 * @throws {CacheUnreachable} {CacheError}
 */
export async function withCache<T>(
  { settings, folder }: LoadedSettings,
  name: string,
  work: (cache: OpenCache) => Promise<T>,
): Promise<T> {
  const own = cacheSettings(settings.caches, name);
  const { address } = placeOf(own);
  let client: Redis | Cluster | undefined;
  /** Why a connection is closed, which is all that the command says that needed it; and whose it was. */
  let reason: { error: Error; at: string } | undefined;
  try {
    client = connect(own, folder);
    client.on('error', (error: Error) => {
      reason = { error, at: address };
    });
    client.on('node error', (error: Error, at: string) => {
      reason = { error, at };
    });
    await connected(name, own, client);
    return await work(await open(name, own, client));
  } catch (error) {
    if (isClosed(error) && reason) throw asCacheError(reason.error, name, reason.at);
    throw asCacheError(error, name, address);
  } finally {
    client?.disconnect();
  }
}

/**
 * Waits for the connection no longer than every node has to answer: one that hangs takes it, and the
 * client's own limits are for each command that it sends first.
 * @throws Refused where a sentinel has no such master.
 */
async function connected(
  name: string,
  { timeout, sentinel, cluster }: CacheSettings,
  client: Redis | Cluster,
): Promise<void> {
  let unknown: Error | undefined;
  client.on('sentinelError', (error: Error) => {
    if (error.message.includes('No such master')) unknown = error;
  });
  const limitMs = timeout * (sentinel?.nodes ?? cluster ?? ['']).length;
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Command timed out')), limitMs);
  });
  try {
    await Promise.race([client.connect(), tooLate]);
  } catch (error) {
    if (!unknown) throw error;
    const [, at = 'one'] = /sentinel (\S+)/.exec(unknown.message) ?? [];
    throw refused(
      `The sentinel of cache ${name} at ${at} knows no master of the name ${sentinel?.master}: correct caches.${name}.sentinel.master in the settings (redis-cli SENTINEL MASTERS lists the names), or the nodes beside it.`,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** @throws Refused where the settings have no cache of that name. */
export function cacheSettings(caches: Record<string, CacheSettings>, name: string): CacheSettings {
  const found = Object.hasOwn(caches, name) ? caches[name] : undefined;
  if (found) return found;
  throw refused(
    `There is no cache ${name}: the settings have ${Object.keys(caches).join(', ') || 'none'} under caches.`,
  );
}

/** Where a cache is, without credentials. */
export function placeOf({ url, sentinel, cluster, database, ...rest }: CacheSettings) {
  const node = url ?? sentinel?.nodes[0] ?? cluster?.[0] ?? '';
  const first = new URL(node);
  const { host, port } = hostAndPort(node, sentinel ? sentinelPort : serverPort);
  const inPath = Number(first.pathname.slice(1) || 0);
  return {
    address: `${first.hostname}:${port}`,
    host,
    port,
    database: sentinel ? database : inPath,
    isTls: first.protocol === 'rediss:',
    username: rest.username ?? (sentinel ? '' : decodeURIComponent(first.username)),
    password: rest.password ?? (sentinel ? '' : decodeURIComponent(first.password)),
  };
}

const serverPort = 6379;
export const sentinelPort = 26_379;

function connect(settings: CacheSettings, folder: string): Redis | Cluster {
  const { timeout, sentinel, cluster } = settings;
  const { host, port, username, password: given, isTls } = placeOf(settings);
  const password =
    typeof given === 'string' ? given : given.prefix + readSecret(given, 'a cache', folder);
  const tls = isTls ? tlsOf(settings, folder) : undefined;
  const options: RedisOptions = {
    lazyConnect: true,
    connectionName: 'rollback-workflows',
    ...{ connectTimeout: timeout, commandTimeout: timeout },
    // Whoever asks tries again, and sees what stands then.
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(tls ? { tls } : {}),
  };
  if (cluster) {
    return new Cluster(
      cluster.map((node) => hostAndPort(node, serverPort)),
      {
        lazyConnect: true,
        redisOptions: options,
        slotsRefreshTimeout: timeout,
        // Where that finds a cluster that is not whole, the client's connect() never ends.
        enableReadyCheck: false,
        clusterRetryStrategy: () => null,
        // With TLS, names must stay names, for the certificates.
        ...(tls ? { dnsLookup: (name, done) => done(null, name) } : {}),
      },
    );
  }
  if (!sentinel) return new Redis({ ...options, host, port, retryStrategy: none });
  const { username: user, password: word } = new URL(sentinel.nodes[0] ?? '');
  return new Redis({
    ...options,
    ...{ name: sentinel.master, role: 'master', retryStrategy: none },
    sentinels: sentinel.nodes.map((node) => hostAndPort(node, sentinelPort)),
    ...{ sentinelRetryStrategy: none, sentinelCommandTimeout: timeout },
    ...(user ? { sentinelUsername: decodeURIComponent(user) } : {}),
    ...(word ? { sentinelPassword: decodeURIComponent(word) } : {}),
    ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
  });
}

function none(): null {
  return null;
}

/** @param usual port where the address names none */
export function hostAndPort(address: string, usual: number): { host: string; port: number } {
  const { hostname, port } = new URL(address);
  return { host: withoutBrackets(hostname), port: Number(port || usual) };
}

/** An IPv6 address as sockets take it. */
function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

/** @throws Refused where a file cannot be read, which no other try finds there. */
function tlsOf({ tls }: CacheSettings, folder: string) {
  const read = (file: string | undefined) => {
    if (file === undefined) return undefined;
    const path = resolve(folder, file);
    try {
      return readFileSync(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw refused(
        `The file ${path} cannot be read (${code}), which TLS to a cache needs: put it there, readable for the worker, or correct the tls of the cache in the settings.`,
      );
    }
  };
  return {
    ca: read(tls?.ca),
    cert: read(tls?.cert),
    key: read(tls?.key),
    servername: tls?.serverName,
  };
}

/** Looks at what was reached. Nothing can be deleted on a replica, and in part of a cluster only a part. */
async function open(
  name: string,
  settings: CacheSettings,
  client: Redis | Cluster,
): Promise<OpenCache> {
  const { address, database } = placeOf(settings);
  if (client instanceof Cluster) {
    const masters = client
      .nodes('master')
      .map((node) => new Master(node, name, `${node.options.host}:${node.options.port}`));
    const { state, nodes } = await readCluster(masters);
    if (state !== 'ok') {
      throw new CacheUnreachable(
        `Cache ${name} at ${address} is a cluster that is not whole${lostInWords(nodes)}`,
      );
    }
    const ids = nodes.map(([id = '']) => id);
    const uid = ids.filter(Boolean).sort()[0] ?? '';
    return { name, address, uid, isCluster: true, database: 0, client, masters };
  }
  // The client itself would stay in database 0 where it may not select another one, and say nothing.
  if (database > 0) await client.select(database);
  const [info, role] = await Promise.all([client.info('server'), client.role()]);
  const [kind, host, port] = role as unknown as [string, string, number];
  if (kind !== 'master') {
    // Sentinels name the new one soon.
    if (settings.sentinel) {
      throw new CacheUnreachable(`Cache ${name} at ${address} is failing over to another master`);
    }
    throw refused(
      `Cache ${name} at ${address} is a replica of ${host}:${port}, and nothing can be deleted there: name its master in caches.${name} of the settings, or its sentinels.`,
    );
  }
  if (fieldOf(info, 'redis_mode') === 'cluster') {
    throw refused(
      `Cache ${name} at ${address} is one node of a cluster and has only a part of the keys: name some nodes as caches.${name}.cluster in the settings.`,
    );
  }
  const uid = fieldOf(info, 'run_id');
  return {
    name,
    address,
    uid,
    isCluster: false,
    database,
    client,
    masters: [new Master(client, name, address)],
  };
}

/** The state of a cluster, and its nodes as `[ID, HOST:PORT@BUS, FLAGS, ...]`: as one that answers has them. */
async function readCluster(masters: Master[]): Promise<{ state: string; nodes: string[][] }> {
  const views = masters.map((master) =>
    master.ask((redis) => Promise.all([redis.cluster('INFO'), redis.cluster('NODES')])),
  );
  const [first] = views;
  // A cluster without masters has no slots either.
  if (!first) return { state: 'fail', nodes: [] };
  // One that hangs must not hold up what the others can tell.
  const [info, nodes] = await Promise.any(views).catch(() => first);
  return {
    state: fieldOf(info, 'cluster_state'),
    nodes: (nodes as string).split('\n').map((line) => line.split(' ')),
  };
}

/** Which nodes the others miss. */
function lostInWords(nodes: string[][]): string {
  const lost = nodes.filter(([, , flags = '']) => flags.split(',').includes('fail'));
  const places = lost.map(([, place = '']) => place.replace(/@.*/, ''));
  return places.length === 0 ? '' : `: ${places.join(', ')} does not answer the others`;
}

/** Value of one line of INFO. */
export function fieldOf(info: string, name: string): string {
  const line = info.split(/\r?\n/).find((text) => text.startsWith(`${name}:`)) ?? '';
  return line.slice(name.length + 1);
}
