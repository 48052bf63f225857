/** Names for what workers ask of each kind of server, the same in every run of a procedure. */
import { gunzipSync } from 'node:zlib';
import { activityClasses } from '../../src/contract/activities.ts';
import type { Naming } from './http2-wire.ts';
import type { Named } from './wire.ts';

/** A request to Kubernetes: its verb and the object, without API group and namespace. */
export const kubernetesNaming: Naming = ({ method, path }) => {
  const { pathname, searchParams } = new URL(path, 'https://kubernetes');
  const object = pathname.replace(/^\/apis?\/(?:[^/]+\.?[^/]*\/)?v\d\w*\//, '');
  const command = searchParams.getAll('command');
  if (command.length > 0)
    return podCommandNaming(object.replace(/^namespaces\/[^/]+\//, ''), command);
  const verb = searchParams.has('watch') ? 'WATCH' : method;
  return {
    what: `${verb} ${object.replace(/^namespaces\/[^/]+\//, '')}`,
    // Reviews ask a question, though they are posted.
    changes: method !== 'GET' && !object.includes('reviews'),
  };
};

const readingCommands = ['ls', 'stat', 'sha256sum', 'tar -tzf'];

/** A command in a pod, without the names of files, which differ. */
function podCommandNaming(object: string, [program = '', option = '']: string[]) {
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

const longestName = 70;
const changing = /\b(insert|update|delete|pg_(?:terminate|cancel)_backend|setval)\b/i;
/** Statistics are for the planner alone. */
const asking = /^(select|with|show|set|reset|begin|start|rollback|savepoint|analyze|copy\b.* to )/i;

/** Statements of PostgreSQL: the first of them that changes something, by verb and object, without values. */
export function statementNaming(sql: string): Named | undefined {
  // Names first: some have nothing but digits in them.
  const statements = withoutNames(sql)
    .replaceAll(/'(?:[^']|'')*'|\$\d+|\b\d+\b/g, '?')
    .replaceAll(/--.*$/gm, '')
    .replaceAll(/\s+/g, ' ')
    .split(';')
    .map((statement) => statement.trim())
    .filter(Boolean);
  const changes = (text: string) => !asking.test(text) || changing.test(text);
  const found = statements.find(changes) ?? statements[0];
  return found === undefined ? undefined : { what: shortened(found), changes: changes(found) };
}

function shortened(statement: string): string {
  const [verb = ''] = statement.split(' ');
  // Table by table, and in no order.
  if (/^analyze$/i.test(verb)) return verb;
  if (!/^(select|with)$/i.test(verb)) return statement.slice(0, longestName);
  const [acting] = changing.exec(statement) ?? [];
  const [from] = /\bfrom [^ ,()]+/i.exec(statement) ?? [];
  return acting || from ? `${verb} ${acting ?? from}` : statement.slice(0, longestName);
}

/** Names of a place and times in the names of databases differ from run to run. */
function withoutNames(text: string): string {
  return text.replaceAll(/chaos-[0-9a-f]{8}/g, 'NAME').replaceAll(/\d{8}T\d{6}Z/g, 'TIME');
}

const askingCommands =
  /^(get|mget|exists|scan|info|role|ping|select|auth|hello|client|config|dbsize|type|command|memory|cluster)$/i;

/** A command of Redis, without keys. */
export function redisNaming(command: string): Named {
  return { what: command.toUpperCase(), changes: !askingCommands.test(command) };
}

/** A request of HTTP: its verb and path. */
export function httpNaming(method: string, path: string): Named {
  return { what: `${method} ${withoutNames(path)}`, changes: method !== 'GET' };
}
