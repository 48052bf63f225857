import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { withLock } from '../sandbox/setup/lock.mjs';
import { startOf } from '../sandbox/setup/process-identity.mjs';
import { atLeast, versionOf } from '../sandbox/setup/versions.mjs';
import { retentionSeconds, temporalDataFlags, temporalDevFlags } from '../sandbox/temporal-dev.ts';

const cache = mkdtempSync(join(tmpdir(), 'rollback-setup-'));
const before = process.env.XDG_CACHE_HOME;
beforeAll(() => {
  process.env.XDG_CACHE_HOME = cache;
});
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(cache, { recursive: true });
});

describe('a version on PATH', () => {
  test.each([
    ['1.34.2', '1.33', true],
    ['1.33', '1.33', true],
    ['1.33.0', '1.33', true],
    ['1.9.9', '1.33', false],
    ['1.33', '1.33.1', false],
    ['2.0', '1.33', true],
    ['1.25rc1', '1.25', true],
    ['0.0.0-DEV', '1.3', false],
    ['devel', '1.24', false],
  ])('%s is at least %s: %s', (version, least, enough) => {
    expect(atLeast(version, least)).toBe(enough);
  });

  test('is asked for once, and again after the program was replaced', () => {
    const program = join(cache, 'server');
    const asked = join(cache, 'asked');
    const install = (version: string) => {
      writeFileSync(program, `#!/bin/sh\necho x >> ${asked}\necho "server version v${version}"\n`);
      chmodSync(program, 0o755);
    };
    const look = () => versionOf(program, ['--version'], /version v(\S+)/);
    install('1.2.3');
    expect([look(), look()]).toEqual(['1.2.3', '1.2.3']);
    expect(readFileSync(asked, 'utf8')).toBe('x\n');
    install('1.10.0');
    expect(look()).toBe('1.10.0');
  });

  test('of a program that fails or says something else is not known', () => {
    expect(versionOf('/bin/false', [], /v(\S+)/)).toBeUndefined();
    expect(versionOf('/bin/echo', ['hello'], /v(\d+)/)).toBeUndefined();
  });
});

describe('a lock', () => {
  test('lets a second process wait for the first, and tells for whom', async () => {
    const order: string[] = [];
    let finish = () => {};
    const first = withLock('build', async () => {
      order.push('first begins');
      await new Promise<void>((resolve) => (finish = resolve));
      order.push('first ends');
    });
    const waited: number[] = [];
    const onWait = (pid: number) => {
      waited.push(pid);
      finish();
    };

    await withLock('build', () => order.push('second'), { onWait });
    await first;

    expect(waited).toEqual([process.pid]);
    expect(order).toEqual(['first begins', 'first ends', 'second']);
  });

  test('of something else is not waited for', async () => {
    expect(await withLock('one', () => withLock('other', () => 'both'))).toBe('both');
  });

  test('of a process that was killed is taken over', async () => {
    const script = `
      import { withLock } from ${JSON.stringify(resolve('sandbox/setup/lock.mjs'))};
      await withLock('killed', () => { console.log('held'); return new Promise(() => setInterval(() => {}, 1000)); });`;
    const holder = execa(process.execPath, ['--input-type=module', '-e', script], {
      env: { NODE_OPTIONS: undefined, XDG_CACHE_HOME: cache },
      reject: false,
    });
    await once(holder.stdout, 'data');
    holder.kill('SIGKILL');
    await holder;

    expect(await withLock('killed', () => 'taken over')).toBe('taken over');
  });

  test('is free again after work that failed', async () => {
    const work = () => Promise.reject(new Error('the build failed'));
    await expect(withLock('failing', work)).rejects.toThrow('the build failed');
    expect(await withLock('failing', () => 'free')).toBe('free');
  });

  test('is not waited for any longer than wished', async () => {
    await withLock('long', async () => {
      const signal = AbortSignal.timeout(50);
      await expect(withLock('long', () => 'never', { signal })).rejects.toThrow(/timeout/);
    });
  });
});

test('CustomResourceDefinitions are fetched when the cache has none, and never again', async () => {
  const script = `
    import { ensureCustomResources } from ${JSON.stringify(resolve('sandbox/setup/custom-resources.mjs'))};
    await ensureCustomResources();`;
  // There is no Go on this PATH, so that nothing can be fetched.
  const ensure = (cacheHome: string | undefined) =>
    execa(process.execPath, ['--input-type=module', '-e', script], {
      env: { NODE_OPTIONS: undefined, PATH: '', XDG_CACHE_HOME: cacheHome },
      reject: false,
    });

  expect((await ensure(cache)).stderr).toContain('Go is needed once, to fetch');
  expect(await ensure(before)).toMatchObject({ exitCode: 0, stderr: '' });
});

test('a pid that was reused is not taken for the process that had it', () => {
  expect(startOf(process.pid)).toBe(startOf(process.pid));
  expect(startOf(process.pid)).not.toBe(startOf(1));
  expect(startOf(2 ** 22 + 1)).toBeUndefined();
});

test('temporal-dev.yaml reaches the server as flags, with closed runs kept for a month', () => {
  const flags = temporalDevFlags();
  expect(flags).toContain('system.enableActivityEagerExecution=true');
  expect(flags.filter((flag) => flag === '--dynamic-config-value')).toHaveLength(flags.length / 2);
  expect(temporalDataFlags('data')).toEqual([
    ...['--db-filename=data', '--sqlite-pragma', 'journal_mode=wal'],
    ...['--sqlite-pragma', 'synchronous=normal'],
  ]);
  expect(retentionSeconds()).toBe(30 * 86_400);
});
