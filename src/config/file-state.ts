import { statSync } from 'node:fs';

/** What differs once a file was changed, replaced, made or removed; without reading it. */
export function fileState(file: string): string {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat ? `${file} ${stat.ino} ${stat.size} ${stat.mtimeNs}` : `${file} -`;
}
