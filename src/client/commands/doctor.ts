export async function doctor(_flags: Record<string, unknown>): Promise<number> {
  return 0;
}
