import { Client } from '@temporalio/client';
import { type NativeConnection, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import { Clusters } from '../activities/kubernetes/api.ts';
import { Locks } from '../activities/lock/locks.ts';
import type { Tell } from '../contract/notice.ts';
import { isErrorRateAbove } from '../activities/verification/error-rate.ts';
import { Authority } from '../authority/authority.ts';
import type { SigningKey } from '../authority/private-key.ts';
import { Regions } from '../authority/regions.ts';
import type { RegisterSource } from '../authority/register.ts';
import { findService, ofSameService } from '../config/services.ts';
import { type LoadedSettings, SettingsError } from '../config/settings.ts';
import type { SettingsSource } from '../config/settings-source.ts';
import { isOwner } from '../contract/plan.ts';
import { taskQueue } from '../contract/run.ts';
import { allActivities } from './activities.ts';
import { activityInterceptors } from './interceptors.ts';

export interface WorkerParts {
  connection: NativeConnection;
  namespace: string;
  settings: SettingsSource;
  workflowBundle: WorkflowBundleOption;
  /** Who may decide, and the key with which this worker seals its plans. */
  register: RegisterSource;
  key: SigningKey;
  tell: Tell;
  clusters?: Clusters;
  locks?: Locks;
}

/** Which queue the worker serves: the main one, or that of its region, where no workflow runs. */
function work({ settings }: LoadedSettings, workflowBundle: WorkflowBundleOption) {
  const { region } = settings.worker;
  if (region === undefined) return { taskQueue, workflowBundle };
  const queue = settings.regions[region]?.taskQueue;
  if (queue !== undefined) return { taskQueue: queue };
  throw new SettingsError(
    `worker.region is ${region}, and regions.${region}.taskQueue does not say which queue is its own: add it.`,
  );
}

const pollers = { type: 'autoscaling', minimum: 1, initial: 2, maximum: 20 } as const;

/** A worker for every workflow and activity, with the guard before each activity that changes something. */
export function createWorker({
  connection,
  namespace,
  settings,
  workflowBundle,
  register,
  key,
  tell,
  clusters = new Clusters(settings.current().settings.kubernetes.context),
  locks = new Locks(new Client({ connection, namespace })),
}: WorkerParts): Promise<Worker> {
  const client = new Client({ connection, namespace });
  const authority = new Authority({
    ...{ source: register, key, client, namespace, clusters, settings, tell },
    regions: new Regions(
      ...([client, clusters, () => register.settings.regions] as const),
      (target) => ofSameService(register.settings, target),
    ),
    measureErrorRate: ({ targets, changes }, limit) => {
      // Owners, and copies that go back with what they are of, have no rate of their own.
      const copies = changes.filter(({ after }) => after.copyOf !== undefined);
      const own = targets.filter(
        (target) => !isOwner(target) && !copies.some((copy) => copy.target.uid === target.uid),
      );
      const found = own.map((target) => findService(register.settings, target));
      return isErrorRateAbove(found, limit);
    },
  });
  return Worker.create({
    connection,
    namespace,
    ...work(settings.current(), workflowBundle),
    activities: allActivities(settings, { clusters, locks, authority }),
    interceptors: { activity: activityInterceptors({ authority, locks }) },
    // After a killed worker, its workflows wait this long for it before another takes them.
    stickyQueueScheduleToStartTimeout: '500ms',
    // Whoever waits for a task is handed one, even if it has just been stopped with its connections
    // still there: so no more than the work asks for.
    workflowTaskPollerBehavior: pollers,
    activityTaskPollerBehavior: pollers,
    // Each waits for others nearly all the time, and a run has one for each of up to 200 services: what
    // waits for its turn at the worker would look as if there were none.
    maxConcurrentActivityTaskExecutions: 1000,
    // A run in memory takes a megabyte or more, and one that waits for people needs none: when it is
    // decided about, it is read back from its history within some 20 ms.
    maxCachedWorkflows: 50,
    // Heartbeats carry the progress that people watch.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
    // On SIGTERM, activities get this long to end; what is not done by then goes on elsewhere.
    shutdownGraceTime: '10s',
  });
}
