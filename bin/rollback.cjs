const { runCached, writeCodeCache } = require('./code-cache.cjs');
const { entryOf } = require('./fresh-bundle.cjs');

const entry = entryOf('cli');
const { ROLLBACK_WRITE_CODE_CACHE: bundle } = process.env;
if (bundle) writeCodeCache(bundle);
else if (entry.endsWith('.cjs')) runCached(entry);
else void import(entry);
