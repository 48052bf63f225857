/** The wires of one lane, and the addresses under which a worker takes them for the servers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { httpConversation, postgresConversation, redisConversation } from './conversations.ts';
import { Http2Wire } from './http2-wire.ts';
import { kubernetesNaming, temporalNaming } from './naming.ts';
import { TcpWire } from './tcp-wire.ts';
import type { ServerName, Wire } from './wire.ts';

/** Where servers are, as the environment of the worker and of the CLI says it. */
export interface Addresses extends Record<string, string> {
  TEMPORAL_ADDRESS: string;
  DATABASE_URL: string;
  /** The console of a PgBouncer before the database. */
  PGBOUNCER_URL: string;
  REDIS_URL: string;
  WAKALA_URL: string;
  /** Folder for backups that the database's own account may write into. */
  BACKUP_DIR: string;
}

export type Wires = Record<ServerName, Wire>;

/** Opens a wire to each of the servers, and to the cluster that the environment names. */
export async function openWires(servers: Addresses): Promise<Wires> {
  const tcp = (server: ServerName, target: string, converse = postgresConversation) =>
    TcpWire.to({ server, target, converse });
  return {
    temporal: await Http2Wire.to({
      ...{ server: 'temporal', target: `http://${servers.TEMPORAL_ADDRESS}` },
      ...{ naming: temporalNaming, pings: true },
    }),
    kubernetes: await kubernetesWire(),
    postgres: await tcp('postgres', servers.DATABASE_URL),
    pooler: await tcp('pooler', servers.PGBOUNCER_URL),
    redis: await tcp('redis', servers.REDIS_URL, redisConversation),
    features: await tcp('features', servers.WAKALA_URL, httpConversation),
  };
}

/** The servers' addresses through their wires. */
export function addressesThrough(wires: Wires, servers: Addresses): Addresses {
  const through = (url: string, { address }: Wire) => url.replace(new URL(url).host, address);
  return {
    ...servers,
    TEMPORAL_ADDRESS: wires.temporal.address,
    DATABASE_URL: through(servers.DATABASE_URL, wires.postgres),
    PGBOUNCER_URL: through(servers.PGBOUNCER_URL, wires.pooler),
    REDIS_URL: through(servers.REDIS_URL, wires.redis),
    WAKALA_URL: through(servers.WAKALA_URL, wires.features),
  };
}

interface Kubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority': string } }[];
}

function readKubeconfig(): Kubeconfig {
  return parse(readFileSync(process.env.KUBECONFIG ?? '', 'utf8')) as Kubeconfig;
}

/** Writes the caller's kubeconfig to a file, with the wire in place of the server. */
export function writeKubeconfig(file: string, { address }: Wire): void {
  const config = readKubeconfig();
  for (const { cluster } of config.clusters) cluster.server = `https://${address}`;
  writeFileSync(file, stringify(config), { mode: 0o600 });
}

/** The sandbox's API server has made its certificate itself, for all that listens on 127.0.0.1. */
function kubernetesWire(): Promise<Wire> {
  const [first] = readKubeconfig().clusters;
  if (!first) throw new Error('The kubeconfig has no cluster.');
  const { server: target, 'certificate-authority': cert } = first.cluster;
  const tls = {
    cert: readFileSync(cert),
    key: readFileSync(cert.replace(/\.crt$/, '.key')),
  };
  return Http2Wire.to({ server: 'kubernetes', target, naming: kubernetesNaming, tls });
}
