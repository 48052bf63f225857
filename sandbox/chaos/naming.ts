/** Names for what workers ask of each kind of server, the same in every run of a procedure. */
import { gunzipSync } from 'node:zlib';
import { activityClasses } from '../../src/contract/activities.ts';
import type { Naming } from './wire.ts';

/** A request to Kubernetes: its verb and the object, without API group and namespace. */
export const kubernetesNaming: Naming = ({ method, path }) => {
  const { pathname, searchParams } = new URL(path, 'https://kubernetes');
  const object = pathname.replace(/^\/apis?\/(?:[^/]+\.?[^/]*\/)?v\d\w*\//, '');
  const command = searchParams.getAll('command');
  if (command.length > 0) return commandNaming(object.replace(/^namespaces\/[^/]+\//, ''), command);
  const verb = searchParams.has('watch') ? 'WATCH' : method;
  return {
    what: `${verb} ${object.replace(/^namespaces\/[^/]+\//, '')}`,
    // Reviews ask a question, though they are posted.
    changes: method !== 'GET' && !object.includes('reviews'),
  };
};

const readingCommands = ['ls', 'stat', 'sha256sum', 'tar -tzf'];

/** A command in a pod, without the names of files, which differ. */
function commandNaming(object: string, [program = '', option = '']: string[]) {
  const command = option.startsWith('-') ? `${program} ${option}` : program;
  const isReading = readingCommands.some((reading) => command.startsWith(reading));
  return { what: `${object} ${command}`, changes: !isReading };
}

/** Calls that come as often as they like: waiting for work, saying that one is alive, greeting. */
const uncounted =
  /^(Poll|RespondQueryTask|RecordActivityTaskHeartbeat|RecordWorkerHeartbeat|GetSystemInfo|DescribeNamespace|DescribeTaskQueue|ListSearchAttributes|ShutdownWorker|UpdateWorkflowExecution|PollWorkflowExecutionUpdate)/;
const reading = /^(Describe|Get|List|Count|Query)/;

/** A call of Temporal, with the activity that it is about where it names one. */
export const temporalNaming: Naming = ({ path, body }) => {
  const call = path.split('/').at(-1) ?? '';
  if (uncounted.test(call)) return undefined;
  // The token of an activity's task has its type in it, as plain text.
  const text = call.startsWith('RespondActivityTask') ? textOf(body) : '';
  const activity = Object.keys(activityClasses).find((name) => text.includes(name));
  return { what: [call, activity].filter(Boolean).join(' '), changes: !reading.test(call) };
};

/** The bytes of a message of gRPC as text; five bytes before it tell whether it is compressed. */
function textOf(body: Buffer): string {
  const message = body.subarray(5);
  return (body[0] === 1 ? gunzipSync(message) : message).toString('latin1');
}
