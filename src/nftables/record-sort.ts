/** Digits are bytes: a table of 256 counts stays in the processor's nearest cache. */
const DIGITS = 256;

/**
 * Sorts records of one length by the bytes at their beginning: a radix sort, from the last byte to the first. A million
 * addresses take some tens of milliseconds, where a comparison for each pair takes more than a second.
 * @param keyLength how many bytes of each record count.
 * @returns the sorted records; `bytes` itself is in no order then.
 */
export function sortRecords(bytes: Uint8Array, recordLength: number, keyLength: number): Uint8Array {
  const count = bytes.length / recordLength;
  let order = new Uint32Array(count);
  for (let at = 0; at < count; at++) order[at] = at;
  let next = new Uint32Array(count);
  const counts = new Uint32Array(DIGITS);
  let isSorted = true;
  for (let digit = keyLength - 1; digit >= 0; digit--) {
    counts.fill(0);
    for (let at = digit; at < bytes.length; at += recordLength) {
      const byte = bytes[at] ?? 0;
      counts[byte] = (counts[byte] ?? 0) + 1;
    }
    // Where all have the same byte, as at the beginning of addresses of one network, nothing would move.
    if (counts.includes(count)) continue;
    isSorted = false;
    let total = 0;
    for (let byte = 0; byte < DIGITS; byte++) {
      const here = counts[byte] ?? 0;
      counts[byte] = total;
      total += here;
    }
    for (let at = 0; at < count; at++) {
      const record = order[at] ?? 0;
      const byte = bytes[record * recordLength + digit] ?? 0;
      const place = counts[byte] ?? 0;
      counts[byte] = place + 1;
      next[place] = record;
    }
    [order, next] = [next, order];
  }
  return isSorted ? bytes : inOrder(bytes, recordLength, order);
}

function inOrder(bytes: Uint8Array, recordLength: number, order: Uint32Array): Uint8Array {
  const sorted = new Uint8Array(bytes.length);
  let end = 0;
  for (const record of order) {
    const start = record * recordLength;
    // Most records are a few bytes long: to make a view of each would take longer than this.
    for (let at = 0; at < recordLength; at++) sorted[end++] = bytes[start + at] ?? 0;
  }
  return sorted;
}
