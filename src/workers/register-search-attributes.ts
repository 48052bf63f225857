import proto from '@temporalio/proto';
import type { NativeConnection } from '@temporalio/worker';
import { searchAttributes } from '../contract/search-attributes.ts';

const { IndexedValueType } = proto.temporal.api.enums.v1;
const wireTypes = {
  KEYWORD: { code: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD, cli: 'Keyword' },
  KEYWORD_LIST: { code: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST, cli: 'KeywordList' },
  DOUBLE: { code: IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE, cli: 'Double' },
} as const;

/** Search attributes are missing and this worker may not add them; the message has the command that does. */
export class SearchAttributesMissing extends Error {}

/**
 * Adds the search attributes that the namespace lacks. A workflow that sets an unknown one would
 * fail its task for ever, so the worker must not start without them.
 * @throws {SearchAttributesMissing}
 */
export async function registerSearchAttributes(
  connection: NativeConnection,
  namespace: string,
): Promise<void> {
  const known = await knownAttributes(connection, namespace);
  const missing = Object.values(searchAttributes).filter(({ name }) => !known.has(name));
  if (missing.length === 0) return;
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(
        missing.map(({ name, type }) => [name, wireTypes[type].code]),
      ),
    });
  } catch (error) {
    const flags = missing.map(({ name, type }) => `--name ${name} --type ${wireTypes[type].cli}`);
    throw new SearchAttributesMissing(
      `Namespace ${namespace} lacks search attributes and this worker may not add them (${(error as Error).message}). ` +
        `Run: temporal operator search-attribute create --namespace ${namespace} ${flags.join(' ')} ` +
        '(on Temporal Cloud: tcld namespace search-attributes add, or the Cloud UI).',
    );
  }
}

async function knownAttributes(
  connection: NativeConnection,
  namespace: string,
): Promise<Set<string>> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  return new Set(Object.keys(customAttributes ?? {}));
}
