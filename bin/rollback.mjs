import { bundleEntry, isBundleFresh, sourceEntry } from './fresh-bundle.mjs';

await import(isBundleFresh() ? bundleEntry : sourceEntry);
