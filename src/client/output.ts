/** How the CLI writes: people's lines or JSON on stdout, everything about itself on stderr. */
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** `text` in a style where stdout is a terminal that wants colours (NO_COLOR, FORCE_COLOR). */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export function printLine(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** One JSON document on one line. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printNote(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Columns as wide as their widest cell, two spaces apart. */
export function table(head: string[], rows: string[][]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const format = (cells: string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [paint('bold', format(head)), ...rows.map(format)];
}

/** `42s`, `5m`, `3h`, `2d`: the age of an ISO time. */
export function age(time: string | Date | undefined): string {
  if (time === undefined) return '';
  const seconds = Math.max(0, (Date.now() - new Date(time).getTime()) / 1000);
  if (seconds < 120) return `${Math.floor(seconds)}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
