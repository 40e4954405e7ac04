/** A service manager's end of NOTIFY_SOCKET. Node has no datagram sockets of this kind, so Python listens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { until } from '../support/station.js';

const LISTENER = `
import json, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
listener.bind('\\0' + name[1:] if name.startswith('@') else name)
print('"listening"', flush=True)
while True:
    print(json.dumps(listener.recv(65536).decode()), flush=True)
`;

export class ManagerSocket {
  /** What came, datagram by datagram. */
  readonly told: string[] = [];
  readonly #child: ChildProcess;

  private constructor(path: string) {
    this.#child = spawn('/usr/bin/python3', ['-c', LISTENER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.#child.stdout) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.told.push(JSON.parse(line)));
    }
  }

  static async listen(path: string): Promise<ManagerSocket> {
    const socket = new ManagerSocket(path);
    await until('the listener', () => socket.told.shift() === 'listening');
    return socket;
  }

  /** Each line that came, in order. */
  get lines(): string[] {
    return this.told.flatMap((text) => text.split('\n'));
  }

  async heard(line: string | RegExp): Promise<void> {
    const is = (one: string) => (typeof line === 'string' ? one === line : line.test(one));
    await until(String(line), () => this.lines.some(is));
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
