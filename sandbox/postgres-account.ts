import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** A system account. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The account that PostgreSQL must run as: it refuses to run as root. Undefined when this process
 * is not root, and PostgreSQL can run as the same user.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entry = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'));
  if (!entry) {
    throw new Error(
      'PostgreSQL does not run as root and there is no user `postgres`; ' +
        'make one with `useradd --system postgres`, or run the sandbox as another user.',
    );
  }
  return { uid: Number(entry[1]), gid: Number(entry[2]) };
}

/** Whether an account may pass through all folders above a path, as far as they exist. */
export function canReach(path: string, { uid, gid }: Account): boolean {
  const parent = dirname(path);
  if (parent === path) return true;
  if (existsSync(parent)) {
    const { mode, uid: owner, gid: group } = statSync(parent);
    const bit = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001;
    if (!(mode & bit)) return false;
  }
  return canReach(parent, { uid, gid });
}
