/** Activities that reach people, under the names that follow `people.` in the contract. */
import { Context } from '@temporalio/activity';
import type { Asking } from '../../authority/ask-people.ts';
import type { Authority } from '../../authority/authority.ts';

export function peopleActivities(authority: Authority) {
  return {
    /** Tells those whose approval a plan lacks that it waits, or that somebody stood in for them. */
    ask: async (asking: Asking): Promise<void> => {
      const { workflowExecution } = Context.current().info;
      if (!workflowExecution) throw new Error('Only workflows ask people.');
      await authority.askPeople(workflowExecution, asking);
    },
  };
}
export type PeopleActivities = ReturnType<typeof peopleActivities>;
