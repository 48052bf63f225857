/** Activities that reach people, under the names that follow `people.` in the contract. */

/** Something that people should know or do. */
export interface Notice {
  workflowId: string;
  /** Roles that it is for; none for everybody who listens. */
  roles: string[];
  /** Whether somebody must act. */
  urgent: boolean;
  text: string;
}

/** A way to reach people. */
export type Tell = (notice: Notice) => Promise<void>;

export function peopleActivities(tell: Tell) {
  return {
    tell: (notice: Notice): Promise<void> => tell(notice),
  };
}
export type PeopleActivities = ReturnType<typeof peopleActivities>;
