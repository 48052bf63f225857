import { Client } from '@temporalio/client';
import { type NativeConnection, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import { Clusters } from '../activities/kubernetes/api.ts';
import { Locks } from '../activities/lock/locks.ts';
import type { LoadedSettings } from '../config/settings.ts';
import { taskQueue } from '../contract/run.ts';
import { allActivities } from './activities.ts';
import { activityInterceptors } from './interceptors.ts';

/** A worker for every workflow and activity, with the guard before each activity that changes something. */
export function createWorker(
  connection: NativeConnection,
  namespace: string,
  settings: LoadedSettings,
  workflowBundle: WorkflowBundleOption,
  clusters = new Clusters(settings.settings.kubernetes.context),
): Promise<Worker> {
  const locks = new Locks(new Client({ connection, namespace }));
  return Worker.create({
    connection,
    namespace,
    taskQueue,
    workflowBundle,
    activities: allActivities(settings, { clusters, locks }),
    interceptors: { activity: activityInterceptors(locks) },
    // After a killed worker, its workflows wait this long for it before another takes them.
    stickyQueueScheduleToStartTimeout: '1s',
    // Heartbeats carry the progress that people watch.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
    // On SIGTERM, activities get this long to end; what is not done by then goes on elsewhere.
    shutdownGraceTime: '10s',
  });
}
