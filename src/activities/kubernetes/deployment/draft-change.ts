import type { Service } from '../../../config/schema.ts';
import { configMapWarnings } from '../config-maps.ts';
import { targetOf } from '../objects.ts';
import { estimateSeconds, readPods } from '../pods.ts';
import { templateDifferences } from '../template-differences.ts';
import type { Cluster } from '../api.ts';
import type { DeploymentChange } from './deployment-change.ts';
import { choosePace, whyCannotBegin } from './pace.ts';
import { unfinished } from './plan-words.ts';
import type { Revision, RevisionHistory } from './revisions.ts';
import type { Room } from './room.ts';

export interface About {
  cluster: Cluster;
  room: Room;
  service: Service | undefined;
  pace: 'auto' | 'steady';
}

/** The change of one Deployment, with what people should know of it. */
export interface DraftChange {
  history: RevisionHistory;
  change: DeploymentChange;
  /** Whether it has the template already. */
  already: boolean;
  /** What an earlier run left to do all the same; undefined for nothing. */
  rest: string | undefined;
  differences: string[];
  /** Why it rolls at that pace. */
  pace: string;
  configWarnings: string[];
  /** Null where it cannot begin. */
  estimateSeconds: number | null;
}

/** Drafts the change of a Deployment to a revision; reads only. */
export async function draftChange(
  { cluster, room, service, pace: wantedPace }: About,
  id: string,
  history: RevisionHistory,
  wanted: Revision,
): Promise<DraftChange> {
  const { deployment, current } = history;
  const { namespace = '' } = deployment.metadata ?? {};
  const paused = deployment.spec?.paused === true;
  const already = wanted.template === history.template && !paused;
  const template = wanted.replicaSet.spec?.template ?? {};
  const [pace, cannotBegin, pods, configWarnings] = await Promise.all([
    already
      ? { surge: false, why: '' }
      : choosePace(room, deployment, template, wantedPace, service),
    already ? undefined : whyCannotBegin(room, deployment, wanted.replicaSet),
    readPods(cluster, deployment),
    configMapWarnings(cluster, namespace, wanted.replicaSet),
  ]);
  const change: DeploymentChange = {
    id,
    kind: 'deployment/template',
    target: targetOf('deployment', cluster, deployment),
    before: {
      revision: current?.revision ?? null,
      replicaSet: current?.replicaSet.metadata?.uid ?? null,
      template: history.template,
      paused,
    },
    after: {
      revision: wanted.revision,
      replicaSet: wanted.replicaSet.metadata?.uid ?? null,
      template: wanted.template,
      paused: false,
      surge: pace.surge,
    },
  };
  return {
    ...{ history, change, already, configWarnings },
    rest: already ? unfinished(history) : undefined,
    differences: templateDifferences(deployment.spec?.template ?? {}, template),
    pace: [cannotBegin, pace.why].filter(Boolean).join(' '),
    estimateSeconds: cannotBegin ? null : estimateSeconds(deployment, pods, pace.surge),
  };
}
