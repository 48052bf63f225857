import { ask } from './run.mjs';
import { atLeast } from './versions.mjs';

/** The architecture as Go names it. */
export const goArch = process.arch === 'x64' ? 'amd64' : process.arch;

/**
 * Makes sure that a Go is there that can build or fetch what is missing.
 * @param {string} least the oldest version that will do
 * @param {string} what what it is needed for, for the message: `build kwok 0.8.0`
 */
export function requireGo(least, what) {
  const answer = ask('go', ['env', 'GOVERSION', 'GOTOOLCHAIN']);
  if (!answer) {
    throw new Error(
      `Go is needed once, to ${what}: install Go ${least} or newer from https://go.dev/dl ` +
        '(Homebrew: `brew install go`) and run the command again.',
    );
  }
  const [version = '', toolchain = ''] = answer.replaceAll('go1', '1').split('\n');
  // Since 1.21 a Go that may do so fetches the newer toolchain that a module asks for.
  const fetchesNewer = atLeast(version, '1.21') && /(^|\+)auto$/.test(toolchain.trim());
  if (!atLeast(version, least) && !fetchesNewer) {
    throw new Error(
      `Go ${version} is too old to ${what}: install Go ${least} or newer ` +
        'from https://go.dev/dl (Homebrew: `brew install go`) and run the command again.',
    );
  }
}
