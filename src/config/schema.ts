import { z } from 'zod';
import {
  databaseKey,
  hostName,
  labelKey,
  labelValue,
  namespaceName,
  objectName,
  portNumber,
} from '../contract/input.ts';
import { authoritySchema } from './authority.ts';
import { cache } from './caches.ts';
import { database } from './databases.ts';
import { duration } from './duration.ts';
import { assertCaches, featureSystem } from './features.ts';
import { assertOrder } from './order.ts';

/** How often a red check is tried again before it counts, and how long all tries may take. */
const patience = {
  retries: z.int().min(0).max(100).default(3),
  every: duration.default(1000),
  limit: duration.default(60_000),
};

const healthCheck = z.strictObject({
  url: z.url({ protocol: /^https?$/, message: 'is not an http or https address' }),
  /** Requests of one try; more than one finds a service that fails some of them. */
  requests: z.int().min(1).max(1000).default(5),
  maxFailed: z.int().min(0).default(0),
  timeout: duration.default(3000),
  ...patience,
});

const logsCheck = z.strictObject({
  /** Label selector of the service's pods; only those of the restored revision are read. */
  selector: z.string().min(1),
  container: z.string().optional(),
  lines: z.int().min(1).max(100_000).default(1000),
  contains: z.string().min(1).default('ERROR'),
  max: z.int().min(0).default(0),
  ...patience,
});

const smokeCheck = z.strictObject({
  /** Program and arguments; never a shell line. A relative path is relative to the settings file. */
  command: z.array(z.string().min(1)).min(1),
  timeout: duration.default(60_000),
  ...patience,
});

const errorRate = z.strictObject({
  url: z.url({ protocol: /^https?$/, message: 'is not an http or https address' }),
  field: z.string().min(1).default('error_rate'),
  timeout: duration.default(3000),
});

const checks = z.strictObject({
  health: healthCheck.optional(),
  logs: logsCheck.optional(),
  smoke: smokeCheck.optional(),
});

/** IANA service name, as ports of a Service have it. */
const portName = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/, 'is not a port');

/** Absolute, and without the `:` that lists of paths have between them. */
const folder = z
  .string()
  .regex(/^\/[^:\p{Cc}]*$/u, 'is not an absolute path without a colon')
  .transform((path) => path.replace(/(.)\/+$/, '$1'));

/** Archives lie in the container itself: on a volume, or they are lost when the pod is replaced. */
export const state = z
  .strictObject({
    /** Container with the state; default: the pod's first. */
    container: z.string().min(1).optional(),
    /** Folders that are archived. */
    data: z.array(folder).min(1).default(['/data']),
    /** Folder of the archives. */
    backup: folder.default('/backup'),
    /** Value of the label `version` that the Service selects while traffic is stopped. */
    maintenance: labelValue.default('maintenance'),
  })
  .refine(
    ({ data, backup }) => !data.some((path) => `${backup}/`.startsWith(`${path}/`)),
    'keeps its archives in a folder that is archived itself: name another as backup',
  );

const service = z
  .strictObject({
    namespace: namespaceName.optional(),
    /** What the service consists of; a run that changes one of these verifies with its checks. */
    deployment: objectName.optional(),
    statefulSet: objectName.optional(),
    /** Name of its Service, for blue-green and canary. */
    service: objectName.optional(),
    /** Its canary: a subset or a Service, where the procedure's default does not find it. */
    canary: objectName.optional(),
    /** Who gets the traffic of its canary: a subset or a Service. */
    stable: objectName.optional(),
    /** Name of its Helm release. */
    release: objectName.optional(),
    /** Services that go back before this one, where several do. */
    after: z.array(z.string().min(1)).default([]),
    /** How the two colours of its Service are told apart, for blue-green. */
    blueGreen: z
      .strictObject({
        /** Label of the pods, and of the Service's selector, whose value is the colour. */
        label: labelKey.default('version'),
        /** Colour that a rollback goes to; default: the other one. */
        to: labelValue.optional(),
        /** How long the colour that was left keeps its pods after the checks are green. */
        soak: duration.default(0),
      })
      .optional(),
    /** Where the pods of its StatefulSet keep their state, and the archives of it. */
    state: state.optional(),
    /** Connections that each pod opens to `database`; a faster pace needs room for twice the pods. */
    connectionsPerPod: z.int().min(1).optional(),
    /** Address of the PostgreSQL database that the pods use, from the environment. */
    database: z.string().min(1).optional(),
    /** Where the share of failed requests, 0 to 1, stands in a JSON document: runs start by it. */
    errorRate: errorRate.optional(),
    checks: checks.default({}),
    /** By region, what differs there; a check that is given there is the one that counts there. */
    regions: z
      .record(
        z.string(),
        z.strictObject({
          checks: checks.default({}),
          errorRate: errorRate.optional(),
          database: z.string().min(1).optional(),
        }),
      )
      .default({}),
  })
  .refine(
    ({ deployment, statefulSet, service: name, release }) =>
      deployment ?? statefulSet ?? name ?? release,
    'names nothing that it consists of: give its deployment, statefulSet, service or release',
  );

const wholeSchema = z.strictObject({
  kubernetes: z
    .strictObject({
      /** Context that is used when a run names none; default: the kubeconfig's current one. */
      context: z.string().min(1).optional(),
      namespace: namespaceName.default('default'),
    })
    .default({ namespace: 'default' }),
  /** Regions by name, each one cluster; a rollback in several of them may need more approvals. */
  regions: z
    .record(
      z.string(),
      z.strictObject({
        context: z.string().min(1),
        /** Queue of a worker in the region, whose `worker.region` names it; default: no own worker. */
        taskQueue: z.string().min(1).optional(),
      }),
    )
    .default({}),
  services: z.record(z.string(), service).default({}).check(assertOrder),
  /** Databases by the names that runs give for them. */
  databases: z.record(databaseKey, database).default({}),
  /** GitOps and progressive delivery, which are held while what they own is rolled back. */
  owners: z
    .strictObject({
      argoCd: z
        .strictObject({
          /** Where Argo CD is installed; its applications may also stand beside what they deploy. */
          namespace: namespaceName.default('argocd'),
          /** Context of its cluster, where that is another one than it deploys to. */
          context: z.string().min(1).optional(),
        })
        .prefault({}),
      /** Where the Flux objects are that stand beside nothing of what they apply. */
      flux: z.strictObject({ namespace: namespaceName.default('flux-system') }).prefault({}),
      /** How often the contacts are told again of what is held. */
      remindEvery: duration.default(3_600_000),
    })
    .prefault({}),
  /** Where visitors are sent meanwhile. */
  maintenance: z
    .strictObject({
      /** Host whose traffic is redirected. */
      host: hostName.optional(),
      /** Service that shows the maintenance page, in the namespace of the host's Ingresses. */
      service: objectName.optional(),
      /** Number or name of its port. */
      port: z.union([portNumber, portName]).default(80),
      namespace: namespaceName.optional(),
      /** Class of the Ingress that is made where the host has none; default: the cluster's. */
      ingressClass: objectName.optional(),
    })
    .prefault({}),
  /** The circuit breaker that a ConfigMap switches. */
  circuitBreaker: z
    .strictObject({
      configMap: objectName.optional(),
      namespace: namespaceName.optional(),
      /** What opens it: values by their keys, and no other key is ever changed. */
      open: z
        .record(z.string().regex(/^[-\w.]{1,253}$/, 'is not a key of a ConfigMap'), z.string())
        .refine((values) => Object.keys(values).length > 0, 'has no key')
        .default({
          CIRCUIT_BREAKER_ENABLED: 'true',
          CIRCUIT_BREAKER_THRESHOLD: '10',
          CIRCUIT_BREAKER_TIMEOUT: '60',
        }),
    })
    .prefault({}),
  /** Redis servers by name. */
  caches: z.record(z.string(), cache).default({}),
  /** Systems of feature flags by name. */
  features: z.record(z.string(), featureSystem).default({}),
  helm: z
    .strictObject({
      /** Program to run, found on the worker's PATH or by its path; Helm 3 and 4 both do. */
      command: z.string().min(1).default('helm'),
      /** How long helm waits for the pods, and for each hook. */
      timeout: duration.default(300_000),
      /** An operation that Helm calls pending is taken for dead once it is this old. */
      abandonedAfter: duration.default(600_000),
      /**
       * Hooks that change data, by name (`*` stands for anything), so that a rollback which runs them
       * needs the approval for database changes; where left out, every hook that is a Job or a Pod.
       */
      migrations: z.array(z.string().min(1)).optional(),
    })
    .prefault({}),
  authority: authoritySchema.prefault({}),
  /** Words that the CLI takes in place of a longer command. */
  aliases: z.record(z.string().regex(/^[a-z][a-z0-9-]*$/), z.array(z.string().min(1))).default({}),
  worker: z
    .strictObject({
      /** Address of the Prometheus endpoint, such as 127.0.0.1:9464; none without it. */
      metricsAddress: z
        .string()
        .regex(/^[^\s:]+:\d{1,5}$/, 'is not an address such as 127.0.0.1:9464')
        .optional(),
      /** Region whose task queue this worker serves, in place of the main one. */
      region: z.string().min(1).optional(),
      /** File with the private key with which this worker seals its plans (`rollback keygen`). */
      key: z.string().min(1).optional(),
      logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
    })
    .default({ logLevel: 'info' }),
});
export const settingsSchema = wholeSchema.check(assertCaches);

export type Settings = z.output<typeof settingsSchema>;
export type Service = z.output<typeof service>;
export type State = z.output<typeof state>;
export type ErrorRate = NonNullable<Service['errorRate']>;
export type HealthCheck = z.output<typeof healthCheck>;
export type LogsCheck = z.output<typeof logsCheck>;
export type SmokeCheck = z.output<typeof smokeCheck>;
