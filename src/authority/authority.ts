/**
 * What a worker knows of authority: it seals the plans that it makes, tells whose decisions count,
 * and lets a change pass only with all that the rules ask for.
 */
import type { AuthoritySettings } from '../config/authority.ts';
import type { Mandate, Planned, PlannedCheck } from '../contract/plan.ts';
import { noticeOf, type Asking } from './ask-people.ts';
import { assessDecision, type DecisionRequest, type DecisionVerdict } from './assess-decision.ts';
import { authorize } from './authorize.ts';
import { joinRegions, type RegionsToJoin } from './join-regions.ts';
import type { AuthorityParts, Execution } from './parts.ts';
import { sealPlan, type PlanToSeal } from './seal-plan.ts';

export class Authority {
  private readonly parts: AuthorityParts;

  constructor(parts: AuthorityParts) {
    this.parts = parts;
  }

  /** Who decides, by which rules, as they are now. */
  get settings(): AuthoritySettings {
    return this.parts.source.current().settings;
  }

  seal(execution: Execution, plan: PlanToSeal): Promise<Omit<Planned<unknown>, 'input'>> {
    return sealPlan(this.parts, execution, plan);
  }

  joinRegions(
    execution: Execution,
    regions: RegionsToJoin,
  ): Promise<Omit<Planned<unknown>, 'input'>> {
    return joinRegions(this.parts, execution, regions);
  }

  assessDecision(execution: Execution, request: DecisionRequest): Promise<DecisionVerdict> {
    return assessDecision(this.parts, execution, request);
  }

  authorize(execution: Execution, mandate: Mandate, check?: PlannedCheck): Promise<void> {
    return authorize(this.parts, execution, mandate, check);
  }

  /** Tells people that a plan waits for them, or that somebody stood in for them. */
  async askPeople(execution: Execution, asking: Asking): Promise<void> {
    const notice = await noticeOf(this.parts, execution, asking);
    if (notice) await this.parts.tell(notice);
  }

  /** Tells the first contact something that nobody need decide about; `urgent` wakes them. */
  async tellContact(workflowId: string, text: string, urgent = false): Promise<void> {
    const [first = ''] = this.settings.contacts;
    await this.parts.tell({ workflowId, roles: [first], urgent, text });
  }
}
