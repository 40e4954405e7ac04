/**
 * What the kernel takes as the name of an interface: dev_valid_name() in net/core/dev.c, by byte. Its isspace()
 * knows Latin-1, so that the byte 0xA0 is a blank, even inside a UTF-8 character such as `à`.
 */
const FORBIDDEN_BYTES = new Set([0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0xa0, 0x2f, 0x3a]);

/** IFNAMSIZ less the terminating NUL. */
export const LONGEST_INTERFACE_NAME = 15;

/** Why no interface name can contain `text`; undefined if one can. */
export function flawInNamePart(text: string): string | undefined {
  if (text.includes('\0')) return 'it contains a NUL';
  if (text.includes('/')) return 'it contains `/`';
  if (text.includes(':')) return 'it contains `:`';
  if (Buffer.from(text).some((byte) => FORBIDDEN_BYTES.has(byte))) return 'it contains a blank';
  return undefined;
}

/** Why `name` cannot be the name of an interface; undefined if it can. */
export function flawInInterfaceName(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name === '.' || name === '..') return 'the kernel reserves it';
  const bytes = Buffer.byteLength(name);
  if (bytes > LONGEST_INTERFACE_NAME) return `it has ${bytes} bytes, ${LONGEST_INTERFACE_NAME} is the most`;
  return flawInNamePart(name);
}
