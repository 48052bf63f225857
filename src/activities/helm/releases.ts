/**
 * A Helm release with the revisions that are its history. Helm keeps each as a Secret, whose labels
 * tell what can be told without its contents (helm: pkg/storage/driver/secrets.go).
 */
import { gunzipSync } from 'node:zlib';
import { hashOf } from '../../contract/digest.ts';
import { refused } from '../failures.ts';
import { metadataOnly, type Cluster, type ListOf } from '../kubernetes/api.ts';
import { objectPath, type KubernetesObject } from '../kubernetes/objects.ts';

/** One line of `helm history`, without what is in it. */
export interface RevisionRecord extends KubernetesObject {
  revision: number;
  /** As Helm names it: `deployed`, `superseded`, `failed`, `pending-upgrade` ... */
  status: string;
}

export interface Hook {
  name: string;
  kind: string;
  manifest: string;
  /** As Helm names them, such as `pre-rollback`. */
  events: string[];
}

/** A revision with what Helm keeps of it. */
export interface Release {
  revision: number;
  status: string;
  /** UID of the Secret: another one where the release was uninstalled and installed anew. */
  record: string;
  chart: { name: string; version: string; appVersion: string };
  /** SHA-256 of the chart's CustomResourceDefinitions; undefined where it has none. */
  crds: string | undefined;
  manifest: string;
  hooks: Hook[];
  /** ISO 8601. */
  updated: string;
  description: string;
  /** Whether `helm rollback` made it, and to which revision where it says so. */
  isRollback: boolean;
  rolledBackTo: number | undefined;
  /** Whether helm lets the API server merge it, and does so again where it goes back to it. */
  isServerSide: boolean;
  /** SHA-256 of chart, values, manifest and hooks: a rollback makes a new revision with the same. */
  content: string;
}

interface Payload {
  version?: number;
  info?: {
    status?: string;
    description?: string;
    last_deployed?: string;
    rollback_revision?: number;
  };
  chart?: {
    metadata?: { name?: string; version?: string; appVersion?: string };
    files?: { name?: string; data?: string }[] | null;
  };
  config?: Record<string, unknown> | null;
  manifest?: string;
  hooks?: Partial<Hook>[] | null;
  apply_method?: string;
}

/** Name of the Secret that keeps a revision. */
export function secretName(release: string, revision: number): string {
  return `sh.helm.release.v1.${release}.v${revision}`;
}

export function secretPath(namespace: string, release: string, revision: number): string {
  return objectPath('helm-release', namespace, secretName(release, revision));
}

/** The revisions of a release, newest first, as far as their labels tell. */
export async function readRecords(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<RevisionRecord[]> {
  const items = await readSecrets(cluster, namespace, `owner=helm,name=${name}`);
  return items
    .map(({ metadata }) => ({
      metadata,
      revision: Number(metadata?.labels?.version),
      status: metadata?.labels?.status ?? '',
    }))
    .filter(({ metadata, revision }) => metadata?.name === secretName(name, revision))
    .sort((one, other) => other.revision - one.revision);
}

/** One revision; undefined where it is not kept any more. */
export async function readRelease(
  cluster: Cluster,
  namespace: string,
  name: string,
  revision: number,
): Promise<Release | undefined> {
  const secret = await cluster.find<KubernetesObject & { data?: { release?: string } }>(
    secretPath(namespace, name, revision),
  );
  return secret && releaseOf(secret, name, revision);
}

/** A release as it was read, whose revisions are fetched once each as they are asked for. */
export class ReleaseHistory {
  readonly namespace: string;
  readonly name: string;
  /** Newest first. */
  readonly records: RevisionRecord[];
  private readonly cluster: Cluster;
  private readonly known = new Map<number, Promise<Release | undefined>>();

  constructor(cluster: Cluster, namespace: string, name: string, records: RevisionRecord[]) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.name = name;
    this.records = records;
  }

  static async read(cluster: Cluster, namespace: string, name: string): Promise<ReleaseHistory> {
    const records = await readRecords(cluster, namespace, name);
    return new ReleaseHistory(cluster, namespace, name, records);
  }

  /** The revision with this number; undefined where it is not kept. */
  revision(number: number): Promise<Release | undefined> {
    const found =
      this.known.get(number) ?? readRelease(this.cluster, this.namespace, this.name, number);
    this.known.set(number, found);
    return found;
  }

  /** What stands there now, or is being put there; undefined where there is no such release. */
  async current(): Promise<Release | undefined> {
    const [newest] = this.records;
    return newest && this.revision(newest.revision);
  }

  /** The revisions in words, oldest first: `1 superseded, 2 failed`. */
  inWords(): string {
    const shown = this.records.slice(0, 10).reverse();
    const more = this.records.length - shown.length;
    const words = shown.map(({ revision, status }) => `${revision} ${status}`).join(', ');
    return more > 0 ? `${more} older ones, ${words}` : words || 'none';
  }
}

function releaseOf(
  secret: KubernetesObject & { data?: { release?: string } },
  name: string,
  revision: number,
): Release {
  const {
    info,
    chart,
    config,
    manifest = '',
    hooks,
    apply_method: applyMethod,
  } = decode(secret.data?.release, name, revision);
  const { name: chartName = '', version = '', appVersion = '' } = chart?.metadata ?? {};
  const files = (chart?.files ?? []).filter((file) => file.name?.startsWith('crds/'));
  const { status = '', description = '', rollback_revision: named } = info ?? {};
  const rolledBackTo = named || Number(/^Rollback to (\d+)$/.exec(description)?.[1]) || undefined;
  // Helm 3 puts the reason of a failure in place of the words "Rollback to".
  const isFailedRollback = status === 'failed' && /^(Rollback|Release) "/.test(description);
  const own = { name: chartName, version, appVersion };
  const kept = (hooks ?? []).map(
    ({ name: hook = '', kind = '', manifest: text = '', events = [] }): Hook => ({
      ...{ name: hook, kind, manifest: text, events },
    }),
  );
  return {
    revision,
    status,
    record: secret.metadata?.uid ?? '',
    chart: own,
    crds: files.length > 0 ? hashOf(files) : undefined,
    manifest,
    hooks: kept,
    updated: info?.last_deployed ?? secret.metadata?.creationTimestamp ?? '',
    description,
    isRollback: rolledBackTo !== undefined || status === 'pending-rollback' || isFailedRollback,
    rolledBackTo,
    isServerSide: applyMethod === 'ssa',
    content: hashOf({ chart: own, values: config ?? {}, manifest, hooks: kept }),
  };
}

/** Helm writes gzipped JSON in base64, which the Secret has in base64 again. */
function decode(data: string | undefined, name: string, revision: number): Payload {
  try {
    const packed = Buffer.from(Buffer.from(data ?? '', 'base64').toString('latin1'), 'base64');
    const isZipped = packed[0] === 0x1f && packed[1] === 0x8b;
    return JSON.parse((isZipped ? gunzipSync(packed) : packed).toString('utf8')) as Payload;
  } catch {
    throw refused(
      `Revision ${revision} of release ${name} cannot be read: its Secret ${secretName(name, revision)} is damaged, or was made by a Helm that keeps releases in another way.`,
    );
  }
}

/** Names of the releases in a namespace, at most ten. */
export async function releaseNames(cluster: Cluster, namespace: string): Promise<string[]> {
  const items = await readSecrets(cluster, namespace, 'owner=helm');
  const names = items.map(({ metadata }) => metadata?.labels?.name ?? '').filter(Boolean);
  return [...new Set(names)].sort().slice(0, 10);
}

async function readSecrets(
  cluster: Cluster,
  namespace: string,
  labelSelector: string,
): Promise<KubernetesObject[]> {
  const path = objectPath('helm-release', namespace);
  const list = await cluster.get<Partial<ListOf<KubernetesObject>>>(
    path,
    { labelSelector },
    metadataOnly.list,
  );
  // In this representation an empty list has none.
  return list.items ?? [];
}
