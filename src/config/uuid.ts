/** A UUID in small letters with hyphens; undefined for what is none (RFC 9562, section 4). */
export function normaliseUuid(text: string): string | undefined {
  const plain = text.toLowerCase();
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(plain) ? plain : undefined;
}
