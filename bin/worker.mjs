import { entryOf } from './fresh-bundle.cjs';

await import(entryOf('worker'));
