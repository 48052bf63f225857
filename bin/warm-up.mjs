// Starts a run once and follows it to its end, so that the code of both is kept beside the CLI's bundle.
import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import proto from '@temporalio/proto';
import { makeKey } from '../src/authority/private-key.ts';
import { repository } from './fresh-bundle.cjs';

/**
 * @param {string} cli bundle of the CLI
 */
export async function warmUp(cli) {
  const folder = mkdtempSync(join(tmpdir(), 'rollback-warm-up-'));
  const server = createServer();
  server.on('stream', answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const key = join(folder, 'key.jwk');
    writeFileSync(key, JSON.stringify(await makeKey('warm-up')), { mode: 0o600 });
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    const { PATH = '', HOME = folder } = process.env;
    const env = {
      ...{ PATH, HOME, ROLLBACK_WRITE_CODE_CACHE: cli },
      ...{ TEMPORAL_ADDRESS: `127.0.0.1:${port}`, TEMPORAL_CONFIG_FILE: join(folder, 'none') },
    };
    const flags = ['deployment', 'warm-up', '--key', key];
    const child = spawn(join(repository, 'bin', 'rollback'), flags, { env, timeout: 20_000 });
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    if (code !== 0) throw new Error(`The CLI cannot be started: ${said}`);
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
}

/**
 * What a gRPC client asks for: the end of a run, or an empty message.
 * @param {import('node:http2').ServerHttp2Stream} stream
 * @param {import('node:http2').IncomingHttpHeaders} headers
 */
function answer(stream, { ':path': call = '' }) {
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc+proto' },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  const message = call.endsWith('/GetWorkflowExecutionHistory') ? endOfRun() : Buffer.alloc(0);
  // Five bytes come first: not compressed, and how long it is.
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([frame, message]));
}

/** The last event of a run that had nothing to do. */
function endOfRun() {
  const { GetWorkflowExecutionHistoryResponse } = proto.temporal.api.workflowservice.v1;
  const result = { outcome: 'no-op', phase: 'done', steps: [], next: [], gaps: [], pausedAt: [] };
  const payload = {
    metadata: { encoding: Buffer.from('json/plain') },
    data: Buffer.from(JSON.stringify(result)),
  };
  const eventType = proto.temporal.api.enums.v1.EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED;
  const workflowExecutionCompletedEventAttributes = { result: { payloads: [payload] } };
  const events = [{ eventType, workflowExecutionCompletedEventAttributes }];
  return GetWorkflowExecutionHistoryResponse.encode({ history: { events } }).finish();
}
