// Runs before every npm script that needs packages or servers, on any Node from 20 on and before
// node_modules exist, so nothing here may import a package. Everything is said on stderr: the
// stdout of `npm run -s sandbox -- env` is evaluated by a shell.
import { ensureBundles } from './bundles.mjs';
import { ensureCustomResources } from './custom-resources.mjs';
import { ensurePackages } from './packages.mjs';
import { ensureServers } from './servers.mjs';
import { ensureSystemPackages } from './system-packages.mjs';
import { say } from './say.mjs';

async function setUp() {
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new Error(
      `This is Node ${process.versions.node}; install Node 20 or newer and run the command again.`,
    );
  }
  await ensurePackages();
  await ensureBundles();
  if (process.argv.includes('--no-servers')) return;
  await ensureSystemPackages();
  await ensureServers();
  await ensureCustomResources();
}

setUp().catch((error) => {
  say(`setup: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
