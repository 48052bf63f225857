/**
 * In which regions a service was changed within the last hour, so that a change of many regions
 * cannot pass as many changes of one. What a rollback notes on the object itself tells it, and no
 * writer of the Temporal namespace can take that away. For two that begin at the same moment, Temporal
 * keeps a mark for each region and service: a workflow on a queue that nobody polls, whose execution
 * time-out is the hour.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure, type Client, WorkflowNotFoundError } from '@temporalio/client';
import { KubernetesError, type Clusters } from '../activities/kubernetes/api.ts';
import { KubeconfigError } from '../activities/kubernetes/kubeconfig.ts';
import { lastChangeAt } from '../activities/kubernetes/last-change.ts';
import { failureTypes } from '../contract/failures.ts';
import { isInCluster, isOwner, targetName, type Target } from '../contract/plan.ts';

const remembered = '1 hour';
const rememberedMs = 3_600_000;
/** How long another region's cluster may take to answer. */
const readWithinMs = 2000;
const markWorkflowType = 'regionMark';
const markQueue = 'rollback-locks';

export class Regions {
  private readonly client: Client;
  private readonly clusters: Clusters;
  private readonly regions: () => Record<string, { context: string }>;
  private readonly ofSameService: (target: Target) => Target[];

  /**
   * @param regions the settings' regions by name, as they are at the moment
   * @param ofSameService all that a target's service consists of
   */
  constructor(
    client: Client,
    clusters: Clusters,
    regions: () => Record<string, { context: string }>,
    ofSameService: (target: Target) => Target[],
  ) {
    this.client = client;
    this.clusters = clusters;
    this.regions = regions;
    this.ofSameService = ofSameService;
  }

  private get contexts(): Map<string, string> {
    return new Map(Object.entries(this.regions()).map(([name, { context }]) => [name, context]));
  }

  /**
   * Regions of the targets, and those where the same services were changed within the last hour.
   * @throws Refused for a cluster that is no region where there are several: it could not be counted.
   */
  async of(all: readonly Target[]): Promise<string[]> {
    const targets = all.filter((target) => isCounted(target));
    const own = targets.map((target) => this.nameOf(target));
    const known = [...this.contexts.keys()];
    const stranger = own.find((region) => !known.includes(region));
    if (known.length > 1 && stranger !== undefined) {
      throw ApplicationFailure.nonRetryable(
        `Context ${stranger} is none of the regions in the settings (${known.join(', ')}): add it to them, or name one of them with --context.`,
        failureTypes.refused,
      );
    }
    const others = await Promise.all(
      targets.flatMap((target) =>
        known.map(async (region) =>
          !own.includes(region) && (await this.wasChangedIn(region, target)) ? [region] : [],
        ),
      ),
    );
    return [...new Set([...own, ...others.flat()])].sort();
  }

  /**
   * Marks the target as changed in its region from now on for an hour; answers whether there are
   * others, so that it matters.
   */
  async mark(target: Target): Promise<boolean> {
    if (this.contexts.size < 2 || !isCounted(target)) return false;
    const region = this.nameOf(target);
    await this.client.workflow.start(markWorkflowType, {
      workflowId: markId(region, target),
      taskQueue: markQueue,
      workflowExecutionTimeout: remembered,
      workflowIdConflictPolicy: 'TERMINATE_EXISTING',
      staticSummary: `${targetName(target)} was changed in region ${region}`,
      staticDetails: 'Ends by itself after an hour: that is no failure.',
    });
    return true;
  }

  /**
   * Name of the target's region, else of the one whose cluster its context reaches; the context's own
   * where it is none's.
   */
  private nameOf({ region, context }: Target): string {
    if (region !== undefined) return region;
    const server = this.serverOf(context);
    const found = [...this.contexts].find(
      ([, other]) => other === context || (server !== undefined && this.serverOf(other) === server),
    );
    return found?.[0] ?? context;
  }

  private serverOf(context: string): string | undefined {
    try {
      return this.clusters.of(context).server;
    } catch (error) {
      if (error instanceof KubeconfigError) return undefined;
      throw error;
    }
  }

  private async wasChangedIn(region: string, target: Target): Promise<boolean> {
    const found = await Promise.all(
      this.ofSameService(target).flatMap((one) => [
        this.isMarked(region, one),
        this.isNoted(region, one),
      ]),
    );
    return found.includes(true);
  }

  /**
   * A region that does not answer must not hold up the others: then only the mark tells. One that
   * this worker may not read counts as changed, since nobody could ever tell.
   */
  private async isNoted(region: string, target: Target): Promise<boolean> {
    try {
      const cluster = this.clusters.of(this.contexts.get(region));
      const silent = delay(readWithinMs, undefined, { ref: false });
      const at = await Promise.race([lastChangeAt(cluster, target), silent]);
      return at !== undefined && Date.now() - Date.parse(at) < rememberedMs;
    } catch (error) {
      return error instanceof KubernetesError && [401, 403].includes(error.status);
    }
  }

  private async isMarked(region: string, target: Target): Promise<boolean> {
    try {
      const { status } = await this.client.workflow.getHandle(markId(region, target)).describe();
      return status.name === 'RUNNING';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  }
}

/** Where an owner stands says nothing of the region that is changed; a database is in no region's cluster. */
function isCounted(target: Target): boolean {
  return !isOwner(target) && isInCluster(target);
}

function markId(region: string, target: Target): string {
  return `region:${region}:${targetName(target)}`;
}
