/** The people file: who has which roles, and the public keys that prove it. */
import { z } from 'zod';
import { readYamlFile } from './yaml-file.ts';

/** A moment, or a day, which lasts to its end in UTC. */
const moment = z
  .string()
  .refine(
    (text) =>
      /^\d{4}-\d\d-\d\d(T.*(Z|[+-]\d\d:\d\d))?$/.test(text) && !Number.isNaN(Date.parse(text)),
    'is not a date such as 2027-01-31, or a time with its zone',
  );

const publicKey = z.strictObject({
  kty: z.literal('OKP', { message: 'must be OKP: make keys with rollback keygen' }),
  crv: z.literal('Ed25519', { message: 'must be Ed25519: make keys with rollback keygen' }),
  /** 32 bytes in base64url. */
  x: z.string().regex(/^[\w-]{43}$/, 'is not the public part of an Ed25519 key'),
  kid: z.string().min(1).max(200),
  /** The key counts from and until then; leaving it out of the file ends it at once. */
  notBefore: moment.optional(),
  notAfter: moment.optional(),
  /** Keys of a sandbox are in nobody's pocket, so they count on loopback only. */
  sandbox: z.boolean().default(false),
});
export type PublicKey = z.output<typeof publicKey>;

const peopleSchema = z
  .strictObject({
    people: z
      .record(
        z.string().min(1).max(200),
        z.strictObject({ roles: z.array(z.string()), keys: z.array(publicKey).default([]) }),
      )
      .default({}),
    /** Keys with which workers seal the plans that they make. */
    workers: z.array(publicKey).default([]),
  })
  .check(({ value: { people, workers }, issues }) => {
    const known = new Map<string, string>();
    const owners: [string, PublicKey[]][] = [
      ...Object.entries(people).map(([name, { keys }]): [string, PublicKey[]] => [name, keys]),
      ['workers', workers],
    ];
    for (const [owner, keys] of owners) {
      for (const { x, kid } of keys) {
        for (const mark of [`key ${x}`, `kid ${kid}`]) {
          const other = known.get(mark);
          if (other !== undefined) {
            const message = `has a ${mark.split(' ')[0]} that ${other} has already: a key is of one person only`;
            issues.push({ code: 'custom', message, input: kid, path: ['people', owner] });
          }
          known.set(mark, owner);
        }
      }
    }
  });
export type People = z.output<typeof peopleSchema>;

/** @throws {SettingsError} with all mistakes at once. */
export function loadPeople(file: string, environment: NodeJS.ProcessEnv = process.env): People {
  return readYamlFile(file, peopleSchema, environment, {
    what: 'people file',
    remedy: 'make keys with rollback keygen and name the file in authority.people of the settings',
  });
}
