/** Something that people should know or do. */
export interface Notice {
  workflowId: string;
  /** Roles that it is for. */
  roles: string[];
  /** Whether somebody must act. */
  urgent: boolean;
  text: string;
}

/** A way to reach people. */
export type Tell = (notice: Notice) => Promise<void>;
