import { entryOf } from './fresh-bundle.mjs';

await import(entryOf('worker'));
