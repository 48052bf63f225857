import type { z } from 'zod';

/** What workflows, worker and CLI agree on about one procedure. */
export interface ProcedureContract<
  Input extends z.ZodObject,
  Argument extends keyof z.input<Input> & string,
  WorkflowType extends string,
> {
  workflowType: WorkflowType;
  /** One flat JSON object with few required fields. */
  input: Input;
  /** The field that the CLI takes as its argument; a list takes all arguments. */
  argument: Argument;
  /**
   * Fields beside the common ones with which a run may start automatically: those that name the
   * service. Where it goes back to, and by which way, is nothing that a system decides.
   */
  automatic: readonly (keyof z.input<Input> & string)[];
  /**
   * That what it changes keeps no mark of the run, such as a flag. A reset run could not prove that it
   * had begun, so a new one takes its place; it begins with what stands there.
   */
  leavesNoMark?: true;
  /** The shortest input, for messages. */
  example: z.input<Input>;
}

/** Types a procedure's contract by what is in it. */
export function procedure<
  Input extends z.ZodObject,
  Argument extends keyof z.input<Input> & string,
  const WorkflowType extends string,
>(
  contract: ProcedureContract<Input, Argument, WorkflowType>,
): ProcedureContract<Input, Argument, WorkflowType> {
  return contract;
}
