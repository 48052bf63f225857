import type { Client } from '@temporalio/client';
import type { Clusters } from '../activities/kubernetes/api.ts';
import type { SettingsSource } from '../config/settings-source.ts';
import type { Tell } from '../contract/notice.ts';
import type { Plan } from '../contract/plan.ts';
import type { SigningKey } from './private-key.ts';
import type { Regions } from './regions.ts';
import type { RegisterSource } from './register.ts';

/** What a worker needs to know and to say who may do what. */
export interface AuthorityParts {
  source: RegisterSource;
  /** With which this worker seals its plans. */
  key: SigningKey;
  client: Client;
  namespace: string;
  clusters: Clusters;
  settings: SettingsSource;
  regions: Regions;
  tell: Tell;
  /** Whether the error rate of all the plan's services is above a limit from 0 to 1. */
  measureErrorRate: (plan: Plan, limit: number) => Promise<{ above: boolean; text: string }>;
}

/** Ids of the execution that an activity runs for, as the server gives them. */
export interface Execution {
  workflowId: string;
  runId: string;
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
