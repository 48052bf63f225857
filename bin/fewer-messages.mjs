// Temporal's description of its messages, as the CLI needs it: less than a third of them. Every start of the
// CLI reads it, and would need some 30 ms more for all of it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** What the CLI calls, itself or through the client: a method that is not here is none at runtime. */
const calls = {
  'temporal.api.workflowservice.v1.WorkflowService': [
    'CountWorkflowExecutions',
    'DescribeNamespace',
    'DescribeTaskQueue',
    'DescribeWorkflowExecution',
    'GetSystemInfo',
    'GetWorkflowExecutionHistory',
    'ListWorkflowExecutions',
    'PollWorkflowExecutionUpdate',
    'QueryWorkflow',
    'ResetWorkflowExecution',
    'SignalWorkflowExecution',
    'StartWorkflowExecution',
    'UpdateWorkflowExecution',
  ],
  'temporal.api.operatorservice.v1.OperatorService': ['ListSearchAttributes'],
  // Made with every connection.
  'temporal.api.testservice.v1.TestService': [],
  'grpc.health.v1.Health': [],
};

/** What a server puts into the details of an error. */
const errors = ['google.rpc', 'temporal.api.errordetails.v1', 'temporal.api.failure.v1'];

/**
 * Of every type that it meets, protobufjs generates the code of five functions, where a run of the CLI
 * calls one: a message is either sent or received. So each is generated when it is called.
 */
const whenCalled = `
const onceCalled = (generate) => (type) => (scope) => {
  let generated;
  return function (...given) {
    generated ??= generate(type)(scope);
    return generated.apply(this, given);
  };
};
if (typeof module.exports === 'function') module.exports = onceCalled(module.exports);
else for (const name of Object.keys(module.exports)) module.exports[name] = onceCalled(module.exports[name]);
`;

/**
 * @typedef {object} Described A namespace, message, enum or service, as protobufjs writes it.
 * @property {Record<string, Described>} [nested]
 * @property {Record<string, { type: string, keyType?: string }>} [fields]
 * @property {Record<string, number>} [values]
 * @property {Record<string, { requestType: string, responseType: string, options?: object }>} [methods]
 */

/**
 * Leaves the services above, what their methods send and answer, and every enum.
 * @type {import('esbuild').Plugin}
 */
export const fewerMessages = {
  name: 'fewer-messages',
  setup(bundler) {
    bundler.onLoad({ filter: /@temporalio\/proto\/protos\/json-module\.js$/ }, ({ path }) => {
      const { nested } = createRequire(path)(path).toJSON();
      const text = JSON.stringify(JSON.stringify(only(nested)));
      return {
        contents: `const protobuf = require('protobufjs/light');
const root = (protobuf.roots.__temporal ??= new protobuf.Root());
module.exports = root.addJSON(JSON.parse(${text}));`,
        resolveDir: dirname(path),
      };
    });
    bundler.onLoad(
      { filter: /protobufjs\/src\/(encoder|decoder|verifier|converter)\.js$/ },
      ({ path }) => ({ contents: `${readFileSync(path, 'utf8')}${whenCalled}` }),
    );
  },
};

/**
 * The part of `root` that is needed.
 * @param {Record<string, Described>} root
 */
function only(root) {
  const all = new Map(flat(root, ''));
  /** @type {Set<string>} */
  const kept = new Set();
  /** @type {(name: string | undefined) => void} */
  const keep = (name) => {
    if (name === undefined || kept.has(name)) return;
    kept.add(name);
    const { fields = {}, methods = {} } = all.get(name) ?? {};
    const types = [
      ...Object.values(fields).flatMap(({ type, keyType = type }) => [type, keyType]),
      ...Object.values(methods).flatMap(({ requestType, responseType }) => [
        requestType,
        responseType,
      ]),
    ];
    for (const type of types) keep(lookUp(all, type, name));
  };
  for (const [name, methods] of Object.entries(/** @type {Record<string, string[]>} */ (calls))) {
    const service = all.get(name);
    const missing = service?.methods ? methods.filter((one) => !service.methods?.[one]) : [name];
    if (missing.length > 0) throw new Error(`Temporal's services have no ${missing.join(', ')}.`);
    const called = Object.entries(service?.methods ?? {}).filter(([one]) => methods.includes(one));
    Object.assign(service ?? {}, { methods: Object.fromEntries(called) });
    keep(name);
  }
  for (const [name, { fields, values }] of all) {
    if (values || (fields && errors.some((space) => name.startsWith(`${space}.`)))) keep(name);
  }
  return prune(root, '', kept);
}

/**
 * Everything in a namespace with its whole name.
 * @param {Record<string, Described>} space
 * @param {string} prefix
 * @returns {[string, Described][]}
 */
function flat(space, prefix) {
  return Object.entries(space).flatMap(([name, described]) => [
    [`${prefix}${name}`, described],
    ...flat(described.nested ?? {}, `${prefix}${name}.`),
  ]);
}

/**
 * Whole name of a type that is named inside of another; undefined for those of protobuf itself.
 * @param {Map<string, Described>} all
 * @param {string} type
 * @param {string} inside
 */
function lookUp(all, type, inside) {
  if (type.startsWith('.')) return type.slice(1);
  for (let scope = `${inside}.`; ; scope = scope.replace(/[^.]+\.$/, '')) {
    const found = all.get(`${scope}${type}`);
    if (found?.fields || found?.values) return `${scope}${type}`;
    if (scope === '') return undefined;
  }
}

/**
 * A namespace with what is kept, and whatever holds something that is kept as a mere namespace.
 * @param {Record<string, Described>} space
 * @param {string} prefix
 * @param {Set<string>} kept
 * @returns {Record<string, Described>}
 */
function prune(space, prefix, kept) {
  const left = Object.entries(space).flatMap(([name, { nested = {}, ...described }]) => {
    const inner = prune(nested, `${prefix}${name}.`, kept);
    const own = kept.has(`${prefix}${name}`) ? withoutOptions(described) : {};
    const isEmpty = Object.keys(inner).length === 0;
    const whole = isEmpty ? own : { ...own, nested: inner };
    return Object.keys(whole).length > 0 ? [[name, whole]] : [];
  });
  return Object.fromEntries(left);
}

/**
 * How methods map to HTTP is for gateways.
 * @param {Omit<Described, 'nested'>} described
 */
function withoutOptions({ methods, ...described }) {
  if (!methods) return described;
  const bare = Object.entries(methods).map(([name, { requestType, responseType }]) => [
    name,
    { requestType, responseType },
  ]);
  return { ...described, methods: Object.fromEntries(bare) };
}
