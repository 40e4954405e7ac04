const MAC = /^[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}$/i;

/** The address in lower case with colons; undefined if `text` is not one. */
export function normaliseMac(text: string): string | undefined {
  return MAC.test(text) ? text.toLowerCase().replaceAll('-', ':') : undefined;
}

/** Why no device can have this (normalised) address: is_valid_ether_addr(), which macvlan asks of every address. */
export function flawInDeviceMac(mac: string): string | undefined {
  if (mac === '00:00:00:00:00:00') return 'it is all zero';
  const firstByte = Number.parseInt(mac.slice(0, 2), 16);
  return (firstByte & 1) === 1 ? 'it is a multicast address' : undefined;
}
