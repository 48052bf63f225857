/** Who may decide: people, roles and public keys, as the settings say at this moment. */
import { resolve } from 'node:path';
import { compactVerify, errors, importJWK, type CryptoKey } from 'jose';
import { startRule } from '../contract/authority.ts';
import type { KnownKey, SealClaims } from '../contract/authority.ts';
import { maxTokenLength, quoted, tokenTypes, type TokenType } from '../contract/decision.ts';
import type { AuthoritySettings } from '../config/authority.ts';
import { fileState } from '../config/file-state.ts';
import { loadPeople, type People, type PublicKey } from '../config/people.ts';
import type { Settings } from '../config/schema.ts';
import { loadSettings, SettingsError, type LoadedSettings } from '../config/settings.ts';

/** A token that proves nothing; the message says why. */
export class TokenError extends Error {}

export interface Person {
  name: string;
  roles: string[];
}

/** What a token says, once its signature is known to be good. */
export interface Verified<Claims> {
  claims: Claims;
  kid: string;
}

/** One reading of settings and people. */
export class Register {
  readonly settings: AuthoritySettings;
  private readonly people: People;
  /** Whether keys of a sandbox count. */
  private readonly loopback: boolean;
  private readonly imported = new Map<string, Promise<CryptoKey>>();

  constructor(settings: AuthoritySettings, people: People, loopback: boolean) {
    this.settings = settings;
    this.people = people;
    this.loopback = loopback;
  }

  /** Public keys of all people, for those who only turn forgeries away. */
  get knownKeys(): KnownKey[] {
    return Object.values(this.people.people).flatMap(({ keys }) =>
      keys.map(({ kid, x }) => ({ kid, x })),
    );
  }

  /** Roles that some rule needs and too few people have; a rule that nobody can fulfil is a mistake. */
  get unfilledRoles(): { rule: string; roles: string[]; needed: number; found: number }[] {
    const { rules, startedBy, breakGlass } = this.settings;
    // Whoever starts a run fills no place of its other rules.
    const starter = (role: string) => (startedBy.includes(role) ? 1 : 0);
    const needs = [
      { rule: startRule, roles: startedBy, needed: 1 },
      ...rules.flatMap(({ name, need }) =>
        Object.entries(need).map(([role, count]) => ({
          ...{ rule: name, roles: [role], needed: count + starter(role) },
        })),
      ),
      ...(breakGlass
        ? [
            {
              ...{ rule: 'breakGlass', roles: [breakGlass.standIn] },
              needed: breakGlass.count + starter(breakGlass.standIn),
            },
          ]
        : []),
    ];
    const now = Date.now();
    return needs
      .map((need) => {
        const able = Object.values(this.people.people).filter(
          ({ roles, keys }) =>
            need.roles.some((role) => roles.includes(role)) &&
            keys.some((key) => this.whyNotValid(key, now) === undefined),
        );
        return { ...need, found: able.length };
      })
      .filter(({ needed, found }) => found < needed);
  }

  /** Whether `kid` is a key of a worker that counts now. */
  hasWorkerKey(kid: string): boolean {
    const key = this.people.workers.find((candidate) => candidate.kid === kid);
    return key !== undefined && this.whyNotValid(key, Date.now()) === undefined;
  }

  /** The person of this name, or undefined. */
  person(name: string): Person | undefined {
    const found = Object.hasOwn(this.people.people, name) ? this.people.people[name] : undefined;
    return found && { name, roles: found.roles };
  }

  /**
   * The person whose key `kid` counts at this moment in milliseconds.
   * @throws {TokenError}
   */
  ownerOf(kid: string, atMs: number): Person {
    const { name, key } = this.find(kid);
    const problem = this.whyNotValid(key, atMs);
    if (problem) throw new TokenError(`The key of ${name} ${problem}.`);
    return this.person(name) as Person;
  }

  /**
   * Checks the signature of a person's token; nothing else about it.
   * @throws {TokenError}
   */
  async verify<Claims extends { sub: string }>(
    token: string,
    type: TokenType,
  ): Promise<Verified<Claims>> {
    const verified = await this.checkSignature<Claims>(token, type, (kid) => this.find(kid).key);
    const { name } = this.find(verified.kid);
    if (verified.claims.sub !== name) {
      throw new TokenError(
        `The key is ${name}'s, but the token says ${quoted(verified.claims.sub)}.`,
      );
    }
    return verified;
  }

  /**
   * Checks the signature of a worker's seal; nothing else about it.
   * @param undo whether it is looked at to take a change back: then it is enough that the key was
   *   good when the plan was sealed
   * @throws {TokenError}
   */
  async verifySeal(token: string, undo = false): Promise<SealClaims> {
    const workerKey = (kid: string) => {
      const key = this.people.workers.find((candidate) => candidate.kid === kid);
      if (key) return key;
      throw new TokenError(
        `The plan was sealed with key ${quoted(kid)}, which is no worker's: every worker's public key must stand under workers in the people file.`,
      );
    };
    const sealed = await this.checkSignature<SealClaims>(token, tokenTypes.seal, workerKey);
    const at = undo ? sealed.claims.iat * 1000 : Date.now();
    const problem = this.whyNotValid(workerKey(sealed.kid), at);
    if (problem) throw new TokenError(`The key that sealed the plan ${problem}.`);
    return sealed.claims;
  }

  private find(kid: string): { name: string; key: PublicKey } {
    for (const [name, { keys }] of Object.entries(this.people.people)) {
      const key = keys.find((candidate) => candidate.kid === kid);
      if (key) return { name, key };
    }
    throw new TokenError(`Nobody has key ${quoted(kid)}: it is not in the people file.`);
  }

  private whyNotValid({ sandbox, notBefore, notAfter }: PublicKey, atMs: number) {
    if (sandbox && !this.loopback) {
      return 'is a sandbox key, and Temporal is not on loopback: make another with rollback keygen';
    }
    if (notBefore !== undefined && atMs < Date.parse(notBefore))
      return `counts from ${notBefore} on`;
    if (notAfter !== undefined && atMs > endOf(notAfter)) return `was valid until ${notAfter}`;
    return undefined;
  }

  private async checkSignature<Claims>(
    token: string,
    type: TokenType,
    keyOf: (kid: string) => PublicKey,
  ): Promise<Verified<Claims>> {
    if (typeof token !== 'string' || token.length > maxTokenLength) {
      throw new TokenError('There is no token that could be one.');
    }
    let kid = '';
    try {
      const { payload } = await compactVerify(
        token,
        (header) => {
          kid = typeof header.kid === 'string' ? header.kid : '';
          if (header.typ !== type) throw new TokenError('The token was made for another purpose.');
          return this.import(keyOf(kid));
        },
        { algorithms: ['EdDSA'] },
      );
      return { claims: JSON.parse(new TextDecoder().decode(payload)) as Claims, kid };
    } catch (error) {
      if (error instanceof TokenError) throw error;
      if (error instanceof errors.JOSEAlgNotAllowed) {
        throw new TokenError('The token is not signed with EdDSA.');
      }
      throw new TokenError('The signature of the token is wrong.');
    }
  }

  private import({ kid, kty, crv, x }: PublicKey): Promise<CryptoKey> {
    const known = this.imported.get(kid);
    if (known) return known;
    const key = importJWK({ kty, crv, x }, 'EdDSA');
    this.imported.set(kid, key);
    return key;
  }
}

/** A day lasts to its end. */
function endOf(moment: string): number {
  return moment.length === 10 ? Date.parse(`${moment}T23:59:59.999Z`) : Date.parse(moment);
}

/** Reads settings and people again whenever a file has changed: a key taken out counts no more. */
export class RegisterSource {
  private readonly file: string;
  private readonly loopback: boolean;
  private loaded: LoadedSettings;
  private register: Register | undefined;
  private readAs = '';

  constructor(loaded: LoadedSettings, loopback: boolean) {
    this.file = loaded.file;
    this.loopback = loopback;
    this.loaded = loaded;
  }

  /** All settings, as they were when the register was last read. */
  get settings(): Settings {
    return this.loaded.settings;
  }

  get peopleFile(): string {
    return resolve(this.loaded.folder, this.loaded.settings.authority.people);
  }

  /**
   * @throws {SettingsError} where they cannot be read now: nobody's authority can be told then, and
   *   an older reading might have somebody in it who was taken out.
   */
  current(): Register {
    const state = this.state();
    if (this.register && state === this.readAs) return this.register;
    this.loaded = loadSettings(this.file);
    const people = loadPeople(this.peopleFile);
    const register = new Register(this.loaded.settings.authority, people, this.loopback);
    // What was replaced while it was read is read again the next time.
    this.register = this.state() === state ? register : undefined;
    this.readAs = state;
    return register;
  }

  private state(): string {
    return [this.file, this.peopleFile].map(fileState).join('\n');
  }
}

/**
 * Refuses settings in which a rule needs people that nobody is.
 * @throws {SettingsError}
 */
export function assertRolesFilled(register: Register, peopleFile: string): void {
  const [first] = register.unfilledRoles;
  if (!first) return;
  const { rule, roles, needed, found } = first;
  throw new SettingsError(
    `Rule "${rule}" needs ${needed} with role ${roles.join(' or ')} and a valid key, whoever starts included, and ${peopleFile} has ${found}: make keys with rollback keygen NAME and add their public parts, or change the rule.`,
  );
}
