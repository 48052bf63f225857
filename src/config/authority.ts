/** Settings of who may decide what. */
import { z } from 'zod';
import { duration } from './duration.ts';

const role = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,62}$/,
    'is not a role such as on-call (lower-case letters, digits and -)',
  );

/** `*` stands for anything, as in `database/*`. */
const pattern = z.string().min(1);

const rule = z.strictObject({
  name: z.string().min(1).max(100),
  /** Changes that fall under the rule; all that is given must hold, and no `when` is every change. */
  when: z
    .strictObject({
      /** Kinds of changes, and kinds that do not count although a pattern has them. */
      kinds: z.array(pattern).min(1).optional(),
      except: z.array(pattern).optional(),
      /** Targets as people name them, such as `deployment/production/wakala-api`. */
      targets: z.array(pattern).min(1).optional(),
      /** More regions than this, counting those where the same service was changed within an hour. */
      regionsOver: z.int().min(1).optional(),
    })
    .default({}),
  /** How many people of which roles; a person counts once. */
  need: z
    .record(role, z.int().min(1, 'must be 1 or more'))
    .refine((need) => Object.keys(need).length > 0, 'names no role'),
});
export type Rule = z.output<typeof rule>;

/** The runbook's authority table, for settings that have no rules of their own. */
export const defaultRules: z.input<typeof rule>[] = [
  {
    name: 'database changes',
    when: {
      // Ending sessions is the on-call engineer's.
      kinds: [
        ...['schema/*', 'database/*', 'cache/flush-all'],
        ...['*/database', 'helm/migration', 'statefulset/state'],
      ],
      except: ['database/sessions'],
    },
    need: { 'team-lead': 1 },
  },
  { name: 'more than one region', when: { regionsOver: 1 }, need: { cto: 1 } },
];

export const authoritySchema = z.strictObject({
  /** File with people, their roles and public keys, relative to the settings file. */
  people: z.string().min(1).default('people.yaml'),
  /** Who may start a run, or confirm one that was started unsigned. */
  startedBy: z.array(role).min(1).default(['on-call']),
  /** `allow` trusts the Temporal server's own authentication of whoever starts a run. */
  unsignedStart: z.enum(['confirm', 'allow']).default('confirm'),
  /** Error rate, 0 to 1, above which a run may be started automatically. */
  automaticAbove: z.number().min(0).max(1).default(0.1),
  rules: z.array(rule).prefault(defaultRules),
  /** People of another role who together stand in for one who does not answer. */
  breakGlass: z
    .strictObject({
      for: z.array(role).min(1),
      standIn: role,
      count: z.int().min(2, 'must be 2 or more').default(2),
      /** How long the one who is missing must have been silent. */
      after: duration.default(600_000),
    })
    .optional(),
  /** Roles in the order in which they are told when nobody answers, and after how long. */
  contacts: z.array(role).min(1).default(['on-call', 'team-lead', 'cto']),
  remindAfter: z.array(duration).default([300_000, 600_000]),
  approvalTimeout: duration.default(3_600_000),
  /** How long a run is paused before the next contact is told; it holds however long that takes. */
  decisionTimeout: duration.default(1_800_000),
  /**
   * How long a step is tried again and again before the first contact is told; then each time twice as
   * long. One that no worker of its region takes up pauses after it.
   */
  retriesToldAfter: duration.default(120_000),
});
export type AuthoritySettings = z.output<typeof authoritySchema>;
