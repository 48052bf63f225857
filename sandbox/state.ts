import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { claimPorts, portNames } from './ports.ts';
import { canReach, serverAccount } from './postgres-account.ts';
import { repository } from './setup/folders.mjs';

/** How long a pod takes to get ready where WAKALA_READY_MS does not say. */
const defaultReadyMs = 1000;

const stateSchema = z.object({
  /** Chosen once, so that a server that is started again keeps its address. */
  ports: z.record(z.enum(portNames), z.int()),
  /** Token of the Kubernetes administrator. */
  kubernetesToken: z.string(),
  /** Token for Wakala's PATCH /admin/features. */
  wakalaAdminToken: z.string(),
  /** Milliseconds from a pod being scheduled to its being ready. */
  readyMs: z.int().min(0),
  /** Whether Wakala was deployed and all its pods seen available, once. */
  wakalaDeployed: z.boolean(),
  /** PostgreSQL's data; see `postgresFolder`. */
  postgresFolder: z.string(),
});

/** What a sandbox remembers between commands, in `sandbox.json` of its folder. */
export type SandboxState = z.infer<typeof stateSchema>;

/** One sandbox: its data folder and what it remembers. */
export interface Sandbox extends SandboxState {
  readonly dir: string;
}

/** The folder of the sandbox that the environment names: SANDBOX_DIR, else `.sandbox`. */
export function defaultFolder(): string {
  return resolve(process.env.SANDBOX_DIR || join(repository, '.sandbox'));
}

/** The one spelling of a folder that locks and process marks go by. */
export function canonicalFolder(dir: string): string {
  const full = resolve(dir);
  if (existsSync(full)) return realpathSync(full);
  const parent = dirname(full);
  return existsSync(parent) ? join(realpathSync(parent), full.slice(parent.length)) : full;
}

/** The sandbox of a folder, or undefined if none was ever started there. */
export function readSandbox(dir: string): Sandbox | undefined {
  const file = stateFile(dir);
  if (!existsSync(file)) return undefined;
  try {
    return { dir, ...stateSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) };
  } catch {
    return undefined;
  }
}

/** Makes the folder of a new sandbox, with ports and tokens of its own. */
export async function createSandbox(dir: string): Promise<Sandbox> {
  if (!isSandboxFolder(dir)) {
    throw new Error(
      `${dir} holds files that are no sandbox's, and \`down\` would remove them; ` +
        'name an empty or a new folder in SANDBOX_DIR.',
    );
  }
  mkdirSync(dir, { recursive: true });
  const sandbox: Sandbox = {
    dir,
    ports: await claimPorts(dir),
    kubernetesToken: randomBytes(24).toString('base64url'),
    wakalaAdminToken: randomBytes(24).toString('base64url'),
    readyMs: defaultReadyMs,
    wakalaDeployed: false,
    postgresFolder: postgresFolder(dir),
  };
  writeSandbox(sandbox);
  return sandbox;
}

/** Whether a folder holds nothing, or a sandbox, even a half-written one. */
export function isSandboxFolder(dir: string): boolean {
  if (!existsSync(dir)) return true;
  const entries = readdirSync(dir);
  const signs = ['sandbox.json', 'sandbox.json.partial', 'servers'];
  return entries.length === 0 || signs.some((sign) => entries.includes(sign));
}

/** Writes what a sandbox remembers; a reader never sees half of it. */
export function writeSandbox({ dir, ...state }: Sandbox): void {
  const partial = `${stateFile(dir)}.partial`;
  writeFileSync(partial, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(partial, stateFile(dir));
}

/**
 * Where PostgreSQL keeps its data: in the sandbox's folder, except where root started it in a place
 * that the account it must then run as cannot enter, such as /root or a folder of mktemp.
 */
export function postgresFolder(dir: string): string {
  const account = serverAccount();
  if (!account || canReach(dir, account)) return join(dir, 'postgres');
  const name = createHash('sha256').update(dir).digest('hex').slice(0, 12);
  return join(tmpdir(), `rollback-sandbox-${name}`);
}

function stateFile(dir: string): string {
  return join(dir, 'sandbox.json');
}
