import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { stringify } from 'yaml';
import { isLoopback, loadAuthority } from '../src/authority/load.ts';
import {
  KeyError,
  makeKey,
  publicPart,
  SigningKey,
  type PrivateJwk,
} from '../src/authority/private-key.ts';
import { RegisterSource, TokenError } from '../src/authority/register.ts';
import { loadPeople } from '../src/config/people.ts';
import { loadSettings, SettingsError } from '../src/config/settings.ts';
import { tokenTypes } from '../src/contract/decision.ts';

const folder = mkdtempSync(join(tmpdir(), 'rollback-people-'));
const settingsFile = join(folder, 'rollback.yaml');
const peopleFile = join(folder, 'people.yaml');
afterAll(() => rmSync(folder, { recursive: true }));

let olga: PrivateJwk;
let worker: PrivateJwk;
beforeAll(async () => {
  [olga, worker] = await Promise.all([makeKey('olga'), makeKey('worker')]);
});
beforeEach(() => {
  writeSettings({});
  writePeople({});
});

function writeSettings(own: object): void {
  writeFileSync(settingsFile, stringify({ authority: { rules: [], ...own } }));
}

/** Writes the people file with Olga's key as `key` says. */
function writePeople(key: object, roles = ['on-call']): void {
  const people = { olga: { roles, keys: [{ ...publicPart(olga), ...key }] } };
  const text = stringify({ people, workers: [publicPart(worker)] });
  // As an editor or a configuration manager does it.
  writeFileSync(`${peopleFile}.new`, text);
  renameSync(`${peopleFile}.new`, peopleFile);
}

function source(loopback = true): RegisterSource {
  return new RegisterSource(loadSettings(settingsFile), loopback);
}

/** Who the register says that a token of Olga's is from, now. */
async function whoSays(register: RegisterSource, key = olga): Promise<string> {
  const token = await (await SigningKey.of(key)).sign(tokenTypes.decision, { sub: 'olga' });
  const current = register.current();
  const { kid } = await current.verify(token, tokenTypes.decision);
  return current.ownerOf(kid, Date.now()).name;
}

describe('a key counts', () => {
  test('as long as it stands in the file, without a restart', async () => {
    const register = source();
    expect(await whoSays(register)).toBe('olga');
    writeFileSync(peopleFile, stringify({ people: { olga: { roles: ['on-call'] } } }));
    await expect(whoSays(register)).rejects.toThrow('it is not in the people file');
    writePeople({});
    expect(await whoSays(register)).toBe('olga');
  });

  test('only between its dates', async () => {
    const yesterday = new Date(Date.now() - 24 * 3600_000).toISOString().slice(0, 10);
    const today = new Date().toISOString().slice(0, 10);
    writePeople({ notAfter: yesterday });
    await expect(whoSays(source())).rejects.toThrow(`was valid until ${yesterday}`);
    // A day lasts to its end.
    writePeople({ notBefore: yesterday, notAfter: today });
    expect(await whoSays(source())).toBe('olga');
    writePeople({ notBefore: new Date(Date.now() + 60_000).toISOString() });
    await expect(whoSays(source())).rejects.toThrow('counts from');
  });

  test('on loopback only where it is a sandbox’s', async () => {
    writePeople({ sandbox: true });
    expect(await whoSays(source(true))).toBe('olga');
    await expect(whoSays(source(false))).rejects.toThrow('is a sandbox key');
  });

  test('for its owner only, whatever the token says', async () => {
    const mallory = await SigningKey.of(olga);
    const token = await mallory.sign(tokenTypes.decision, { sub: 'carl' });
    await expect(source().current().verify(token, tokenTypes.decision)).rejects.toThrow(
      'The key is olga\'s, but the token says "carl"',
    );
  });

  test('for what it signed, not for a token of another kind', async () => {
    const token = await (await SigningKey.of(olga)).sign(tokenTypes.start, { sub: 'olga' });
    await expect(source().current().verify(token, tokenTypes.decision)).rejects.toThrow(TokenError);
    // A person is no worker, and a worker no person.
    const seal = await (await SigningKey.of(olga)).sign(tokenTypes.seal, {});
    await expect(source().current().verifySeal(seal)).rejects.toThrow("which is no worker's");
    await expect(whoSays(source(), worker)).rejects.toThrow('it is not in the people file');
  });
});

describe('settings that cannot be read', () => {
  test('let nobody decide until they are mended: an older reading may have had too many', async () => {
    const register = source();
    expect(await whoSays(register)).toBe('olga');
    writeFileSync(peopleFile, 'people: [');
    await expect(whoSays(register)).rejects.toThrow(SettingsError);
    rmSync(peopleFile);
    await expect(whoSays(register)).rejects.toThrow('is not there');
    writePeople({});
    expect(await whoSays(register)).toBe('olga');
  });

  test('are told with the place of every mistake', () => {
    writeFileSync(
      peopleFile,
      `people:
  olga:
    roles: [on-call]
    keys:
      - { kty: RSA, crv: Ed25519, x: short, kid: k }
      - { kty: OKP, crv: Ed25519, x: ${olga.x}, kid: k2, notAfter: soon, d: secret }
`,
    );
    expect(() => loadPeople(peopleFile)).toThrow(SettingsError);
    try {
      loadPeople(peopleFile);
    } catch (error) {
      const lines = (error as Error).message.split('\n').map((line) => line.split('.keys.')[1]);
      expect(lines).toEqual([
        '0.kty: must be OKP: make keys with rollback keygen',
        '0.x: is not the public part of an Ed25519 key',
        expect.stringContaining('1.notAfter: is not a date'),
        // A private key has no business here.
        '1.d: is not a known setting',
      ]);
    }
  });

  test('cannot give one key to two people', () => {
    const keys = [publicPart(olga)];
    const people = { olga: { roles: [], keys }, carl: { roles: ['cto'], keys } };
    writeFileSync(peopleFile, stringify({ people }));
    expect(() => loadPeople(peopleFile)).toThrow('a key is of one person only');
  });
});

describe('a worker does not start', () => {
  async function startWith(own: { authority?: object; worker?: object }): Promise<unknown> {
    const key = join(folder, 'worker.jwk');
    writeFileSync(key, JSON.stringify(worker), { mode: 0o600 });
    writeFileSync(settingsFile, stringify({ ...own, worker: { key, ...own.worker } }));
    return loadAuthority(loadSettings(settingsFile), '127.0.0.1:7233');
  }

  test('where a rule needs people that nobody is, since nobody could ever pass it', async () => {
    await expect(startWith({})).rejects.toThrow(
      'Rule "database changes" needs 1 with role team-lead and a valid key',
    );
    const rules = [{ name: 'pairs', need: { 'on-call': 2 } }];
    await expect(startWith({ authority: { rules } })).rejects.toThrow(
      /needs 3 .*whoever starts included, .* has 1/,
    );
    writePeople({}, []);
    await expect(startWith({ authority: { rules: [] } })).rejects.toThrow('Rule "start" needs 1');
    // A key that has run out is nobody's.
    writePeople({ notAfter: '2020-01-01' });
    await expect(startWith({ authority: { rules: [] } })).rejects.toThrow('Rule "start" needs 1');
  });

  test('without a key of its own that others know', async () => {
    const authority = { rules: [] };
    await expect(startWith({ authority })).resolves.toBeDefined();
    const other = join(folder, 'other.jwk');
    writeFileSync(other, JSON.stringify(await makeKey('worker')), { mode: 0o600 });
    await expect(startWith({ authority, worker: { key: other } })).rejects.toThrow(
      'add its public part under workers there',
    );
    await expect(startWith({ authority, worker: { key: undefined } })).rejects.toThrow(
      'worker.key is not in',
    );
  });
});

describe('a private key', () => {
  test('that others can read is refused, with the command that mends it', async () => {
    const file = join(folder, 'olga.jwk');
    writeFileSync(file, JSON.stringify(olga));
    for (const mode of [0o644, 0o640, 0o604, 0o660]) {
      chmodSync(file, mode);
      await expect(SigningKey.read(file)).rejects.toThrow(`chmod 600 ${file}`);
    }
    chmodSync(file, 0o600);
    await expect(SigningKey.read(file)).resolves.toMatchObject({ sub: 'olga', kid: olga.kid });
  });

  test('is never shown by what goes wrong with it', async () => {
    const file = join(folder, 'damaged.jwk');
    for (const damaged of [{ ...olga, x: 'AAAA' }, { ...olga, kty: 'RSA' }, olga.d]) {
      writeFileSync(file, JSON.stringify(damaged), { mode: 0o600 });
      const failure = await SigningKey.read(file).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(KeyError);
      expect((failure as Error).message).not.toContain(olga.d);
    }
    const key = await SigningKey.of(olga);
    expect(inspect(key, { depth: null, showHidden: true }) + JSON.stringify(key)).not.toContain(
      olga.d,
    );
  });
});

test('loopback is this machine and nothing else', () => {
  const here = ['127.0.0.1:7233', 'localhost:7233', '[::1]:7233', '127.9.9.9:1', 'localhost'];
  expect(here.filter((address) => !isLoopback(address))).toEqual([]);
  const far = [
    '10.0.0.1:7233',
    'temporal:7233',
    'localhost.example.com:7233',
    '127.0.0.1.nip.io:1',
  ];
  expect(far.filter(isLoopback)).toEqual([]);
});
