/** Which databases have the writes that a swap takes out of the live one. */
import { printable } from '../../../contract/printable.ts';
import { type Found, type Note, notedBy } from '../notes.ts';

const mostShown = 5;

/**
 * Where everything stays that was written after `since`, in words: each swap since then has put a part
 * of it aside.
 */
export function whereWritesStay(all: readonly Found[], live: Found, since: Date): string {
  const isLater = (note: Note) => Date.parse(note.at) > since.getTime();
  const earlier = all
    .flatMap(({ name, note }) =>
      note?.of === live.name && ['old', 'undone'].includes(note.state) && isLater(note)
        ? [{ name, note }]
        : [],
    )
    .toSorted((one, other) => (one.note.at < other.note.at ? 1 : -1));
  const written = `All that was written after ${since.toISOString()} is only in the database that is put aside`;
  if (earlier.length > 0) {
    const shown = earlier
      .slice(0, mostShown)
      .map(({ name, note }) => printable(`${name} (put aside at ${note.at} by ${notedBy(note)})`));
    const rest = earlier.length - shown.length;
    return `${written}, and in those that swaps since then have put aside: ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}. They are kept, and rollback database --undo ID brings the one back that run ID has put aside.`;
  }
  const kept = 'it is kept, and rollback database --undo ID brings it back.';
  const { note } = live;
  if (note?.state !== 'live' || !isLater(note)) return `${written}; ${kept}`;
  return `All that was written after ${note.at} is only in the database that is put aside; ${kept} What was written between ${since.toISOString()} and then may be gone: no database that a swap has put aside since is still there.`;
}
