/** Notes in the comments of databases and tables, behind whatever else a comment says. */

export const marker = 'rollback-workflows: ';

export function splitComment<Note>(description: string): {
  comment: string | undefined;
  note: Note | undefined;
} {
  const at = description.lastIndexOf(marker);
  if (at === -1) return { comment: description || undefined, note: undefined };
  const comment = description.slice(0, at).trimEnd() || undefined;
  try {
    return { comment, note: JSON.parse(description.slice(at + marker.length)) as Note };
  } catch {
    // Somebody has written over it, and it is theirs now.
    return { comment: description, note: undefined };
  }
}

export function joinComment(
  comment: string | undefined,
  note: object | undefined,
): string | undefined {
  const lines = [comment, note && `${marker}${JSON.stringify(note)}`].filter(Boolean);
  return lines.length > 0 ? lines.join('\n') : undefined;
}
