import { Lab } from '#src/demo/lab.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { formatMac } from '#src/links/link.js';

/** What the device of a number is made like: down, as libvirt makes it. */
export function numberedDevice(number: number): { name: string; mac: string; up: boolean } {
  const mac = formatMac(Uint8Array.of(0x52, 0x54, 0, number >> 16, (number >> 8) & 0xff, number & 0xff));
  return { name: `macvtap${number}`, mac, up: false };
}

/** A throw-away host with so many macvtap devices, down as libvirt makes them. */
export class Crowd {
  readonly lab: Lab;
  #devices = 0;

  constructor() {
    this.lab = new Lab(linuxKernel());
  }

  get devices(): number {
    return this.#devices;
  }

  /** @param up whether to set the new ones up; not unless given. */
  growTo(devices: number, { up = false } = {}): void {
    for (; this.#devices < devices; this.#devices++) {
      this.lab.addMacvtap({ ...numberedDevice(this.#devices), up });
    }
  }

  close(): void {
    // With their parent go all the devices, and before this returns; left to the end of the namespace they would go
    // some time later, in the way of what is measured next.
    this.lab.remove(this.lab.host.link(this.lab.parent).index);
    this.lab.close();
  }
}
