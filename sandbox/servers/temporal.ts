import { join } from 'node:path';
import type { Server } from '../server.ts';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';
import {
  retentionSeconds,
  temporalDataFlags,
  temporalDevFlags,
  temporalDevSettings,
} from '../temporal-dev.ts';
import { answers } from './probes.ts';

/** Temporal's development server, with its Web UI and its data on disk. */
export function temporal({ dir, ports }: Sandbox, paths: ServerPaths): Server {
  const { namespace } = temporalDevSettings();
  const api = `http://127.0.0.1:${ports.temporalHttp}/api/v1/namespaces/${namespace}`;
  return {
    name: 'temporal',
    address: `127.0.0.1:${ports.temporal}`,
    after: [],
    stopSignal: 'SIGTERM',
    command: () => ({
      file: paths.temporal,
      cwd: dir,
      args: [
        'server',
        'start-dev',
        '--ip=127.0.0.1',
        `--port=${ports.temporal}`,
        `--ui-port=${ports.temporalUi}`,
        `--http-port=${ports.temporalHttp}`,
        `--metrics-port=${ports.temporalMetrics}`,
        ...temporalDataFlags(join(dir, 'temporal.db')),
        ...temporalDevFlags(),
        // The caller's own Temporal profile is about another server.
        '--disable-config-file',
        '--disable-config-env',
      ],
    }),
    isReady: () => answers(api),
    async finish() {
      const response = await fetch(`${api}/update`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          config: { workflowExecutionRetentionTtl: `${retentionSeconds()}s` },
        }),
      });
      if (!response.ok) {
        throw new Error(
          `Temporal refused to keep closed runs for ${retentionSeconds()} s (${response.status}: ` +
            `${await response.text()}); correct the retention in temporal-dev.yaml.`,
        );
      }
    },
  };
}
