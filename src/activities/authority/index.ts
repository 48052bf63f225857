/** Activities on authority, under the names that follow `authority.` in the contract. */
import { Context } from '@temporalio/activity';
import type { DecisionRequest, DecisionVerdict } from '../../authority/assess-decision.ts';
import type { Authority } from '../../authority/authority.ts';

export function authorityActivities(authority: Authority) {
  return {
    /** Tells whether a decision that has arrived counts, with keys and roles as they are now. */
    assessDecision: async (request: DecisionRequest): Promise<DecisionVerdict> => {
      const { workflowExecution } = Context.current().info;
      if (!workflowExecution) throw new Error('Decisions are about workflows.');
      return authority.assessDecision(workflowExecution, request);
    },
  };
}
export type AuthorityActivities = ReturnType<typeof authorityActivities>;
