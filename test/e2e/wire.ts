/** What arrives from the guests at the other end of the cable. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { until } from '../support/station.js';

/** Tells each kind of frame once, when it first comes, and every 100th of it. */
const LISTENER = `
import json, socket, sys
from collections import Counter
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(('vx1', 0))
# PACKET_AUXDATA: the kernel takes tags out of frames before it hands them over.
wire.setsockopt(263, 8, 1)
print('null', flush=True)
seen = Counter()
while True:
    frame, extra, _, address = wire.recvmsg(2048, 256)
    if address[2] == socket.PACKET_OUTGOING:
        continue
    tagged = any(len(data) >= 20 and int.from_bytes(data[0:4], sys.byteorder) & 16 for _, _, data in extra)
    kind = frame[12:14].hex()
    source = socket.inet_ntoa(frame[26:30]) if kind == '0800' else ''
    key = (frame[6:12].hex(':'), 'tagged' if tagged else kind, source)
    seen[key] += 1
    if seen[key] % 100 == 1:
        print(json.dumps([*key, seen[key]]), flush=True)
`;

export interface Kind {
  mac: string;
  /** The ethertype in hexadecimal, or `tagged`. */
  type: string;
  /** Of IPv4. */
  source: string;
}

export class Wire {
  readonly kinds: Kind[] = [];
  readonly #child: ChildProcess;
  #isListening = false;

  private constructor(spawn: (...command: string[]) => ChildProcess) {
    this.#child = spawn('/usr/bin/python3', '-c', LISTENER);
    if (!this.#child.stdout) return;
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as [string, string, string] | null;
      if (said) this.kinds.push({ mac: said[0], type: said[1], source: said[2] });
      else this.#isListening = true;
    });
  }

  static async listen(spawn: (...command: string[]) => ChildProcess): Promise<Wire> {
    const wire = new Wire(spawn);
    await until('the wire', () => wire.#isListening);
    return wire;
  }

  async saw(what: Partial<Kind>): Promise<void> {
    const is = (kind: Kind) =>
      Object.entries(what).every(([key, value]) => kind[key as keyof Kind] === value);
    await until(JSON.stringify(what), () => this.kinds.some(is), 30_000);
  }

  close(): void {
    this.#child.stdout?.destroy();
    this.#child.kill();
  }
}
