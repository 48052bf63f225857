import { runCached, writeCodeCache } from './code-cache.mjs';
import { entryOf } from './fresh-bundle.mjs';

const entry = entryOf('cli');
if (process.env.ROLLBACK_WRITE_CODE_CACHE) writeCodeCache(process.env.ROLLBACK_WRITE_CODE_CACHE);
else if (entry.endsWith('.cjs')) runCached(entry);
else await import(entry);
