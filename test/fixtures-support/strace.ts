/** What a program sent and received, out of `strace -e write=all -e read=all`. */

export interface Transfer {
  call: string;
  bytes: Uint8Array;
}

/** A line of the hexadecimal dump is ` | 00000  16 bytes in 48 columns  text |`. */
const BYTES_FROM = 10;
const BYTES_TO = 58;

export function parseTranscript(transcript: string): Transfer[] {
  const transfers: { call: string; digits: string }[] = [];
  let call = '';
  let open = false;
  for (const line of transcript.split('\n')) {
    const named = /^(?:\d+ +)?(\w+)\(/.exec(line);
    if (named?.[1]) {
      call = named[1];
      open = false;
    } else if (line.startsWith(' | ')) {
      if (!open) transfers.push({ call, digits: '' });
      open = true;
      const last = transfers.at(-1);
      if (last) last.digits += line.slice(BYTES_FROM, BYTES_TO).replaceAll(' ', '');
    }
  }
  return transfers.map((one) => ({ call: one.call, bytes: new Uint8Array(Buffer.from(one.digits, 'hex')) }));
}
