/** An address of PostgreSQL or PgBouncer, for sessions of our own and for programs of PostgreSQL. */
import type pg from 'pg';
import { parse, toClientConfig } from 'pg-connection-string';

/** What a session needs to connect; `sslmode` means what it means to PostgreSQL's own programs (libpq). */
export function connectionOf(address: string): pg.ClientConfig {
  const url = forLibpq(address);
  return toClientConfig(parse(url.href, { useLibpqCompat: true }));
}

/**
 * An address for the arguments of programs, which everybody on the machine sees, and the password for
 * their environment.
 */
export function programAddress(address: string): { url: URL; env: Record<string, string> } {
  const url = forLibpq(address);
  const { password } = connectionOf(address);
  url.password = '';
  editQuery(url, (entries) => entries.filter((entry) => !/^(ssl)?password=/.test(entry)));
  return { url, env: typeof password === 'string' && password ? { PGPASSWORD: password } : {} };
}

/** Without what only the driver of our sessions knows, and programs refuse. */
function forLibpq(address: string): URL {
  const url = new URL(address);
  editQuery(url, (entries) =>
    entries
      .filter((entry) => !entry.startsWith('uselibpqcompat='))
      .map((entry) => (entry === 'sslmode=no-verify' ? 'sslmode=require' : entry)),
  );
  return url;
}

/** As text: programs take `%20` for a space, and not the `+` that URLSearchParams makes of it. */
function editQuery(url: URL, edit: (entries: string[]) => string[]): void {
  url.search = edit(url.search.slice(1).split('&')).join('&');
}
