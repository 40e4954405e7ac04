import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TapwallError } from '../error.js';

/**
 * A tap descriptor that was just opened puts this many bytes of virtio-net header (struct virtio_net_hdr) before
 * each frame, in both directions: IFF_VNET_HDR is on from the start (drivers/net/tap.c).
 */
const VIRTIO_HEADER_LENGTH = 10;
const LONGEST_FRAME = 65_550;

/** The character device of one macvtap: what a virtual machine monitor writes a guest's frames to. */
export class Tap {
  readonly name: string;
  readonly index: number;
  readonly mac: string;
  readonly #descriptor: number;
  readonly #buffer = Buffer.alloc(VIRTIO_HEADER_LENGTH + LONGEST_FRAME);

  constructor(device: { name: string; index: number; mac: string }, descriptor: number) {
    this.name = device.name;
    this.index = device.index;
    this.mac = device.mac;
    this.#descriptor = descriptor;
  }

  /** For another process to inherit. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** Writes one Ethernet frame, as the guest sends it. */
  send(frame: Uint8Array): void {
    writeSync(this.#descriptor, Buffer.concat([Buffer.alloc(VIRTIO_HEADER_LENGTH), frame]));
  }

  /** The next frame that reached the guest; undefined when none is queued. */
  receive(): Buffer | undefined {
    try {
      const length = readSync(this.#descriptor, this.#buffer);
      return Buffer.from(this.#buffer.subarray(VIRTIO_HEADER_LENGTH, length));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined;
      throw error;
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * Opens a character device by number. `/dev/tapN` cannot be used: N is an interface index, which is unique in one
 * network namespace, and /dev is common to all.
 */
export function openCharacterDevice(major: number, minor: number): number {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-tap-'));
  const node = join(folder, 'tap');
  try {
    // Node has no mknod(2).
    const made = spawnSync('mknod', ['-m', '600', node, 'c', String(major), String(minor)], {
      encoding: 'utf8',
    });
    if (made.status !== 0) {
      throw new TapwallError(
        'NOT_SUPPORTED',
        `cannot make the device node: ${made.stderr?.trim() || made.error}`,
      );
    }
    return openSync(node, constants.O_RDWR | constants.O_NONBLOCK);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
