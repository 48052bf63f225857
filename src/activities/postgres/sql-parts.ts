/** What is in an SQL text beside its words (PostgreSQL, 4.1: lexical structure). */

/** One pass over all of them, since each may have what looks like another. What is cut off goes to the end. */
const parts = new RegExp(
  [
    /--[^\n]*/,
    /\/\*(?:\/\*[\s\S]*?(?:\*\/|$)|(?!\*\/)[\s\S])*(?:\*\/|$)/,
    /(?<![\w$])\$((?:[a-z_]\w*)?)\$[\s\S]*?(?:\$\1\$|$)/,
    // Only here a backslash takes the quote its meaning.
    /\be'[^'\\]*(?:(?:''|\\[\s\S])[^'\\]*)*(?:'|$)/,
    /'[^']*(?:''[^']*)*(?:'|$)/,
    /"[^"]*(?:""[^"]*)*(?:"|$)/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'gi',
);

/**
 * An SQL text with a space for each comment.
 * @param value stands for each string, whatever its quotes
 * @param quoted what stands for an identifier in quotes
 */
export function replaceParts(
  sql: string,
  value: string,
  quoted: (identifier: string) => string,
): string {
  return sql.replace(parts, (found) => {
    if (/^(--|\/\*)/.test(found)) return ' ';
    return found.startsWith('"') ? quoted(found) : value;
  });
}
