import { setTimeout as sleep } from 'node:timers/promises';
import { Lab } from '#src/demo/lab.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { showProgress } from '../progress.js';
import type { Contender } from './contender.js';
import { Storm } from './storm.js';

export interface LeakOptions {
  /** How many devices come and go. */
  creations: number;
  /** Milliseconds that each of them stays. */
  lifetime: number;
  folder: string;
}

/** Frames in one direction. */
export interface Leak {
  sent: number;
  leaked: number;
}

export interface LeakResult {
  contender: string;
  title: string;
  closed: boolean;
  creations: number;
  /** Devices that at least one frame passed. */
  leakyDevices: number;
  egress: Leak;
  ingress: Leak;
}

async function measure(
  contender: Contender,
  { creations, lifetime, folder }: LeakOptions,
): Promise<LeakResult> {
  const lab = new Lab(linuxKernel());
  try {
    const end = await contender.start(lab, folder);
    const storm = await Storm.start(lab);
    try {
      let leakyDevices = 0;
      let received = 0;
      let leaked = 0;
      for (let creation = 1; creation <= creations; creation++) {
        showProgress(`${contender.title}: device ${creation} of ${creations}`);
        const before = await storm.report();
        const link = storm.create();
        // However busy the machine: a device that no frame has reached shows nothing.
        await storm.flood(link, 1, before);
        await sleep(lifetime);
        // So that a frame is counted at both ends or at neither.
        const { guest, world } = await storm.pause();
        received += storm.received(link);
        if (guest.received + world.received > leaked) leakyDevices++;
        leaked = guest.received + world.received;
        storm.remove(link);
        storm.resume();
      }
      const { guest, world } = await storm.stop();
      return {
        contender: contender.name,
        title: contender.title,
        closed: contender.closed,
        creations,
        leakyDevices,
        egress: { sent: guest.written + guest.late, leaked: world.received },
        ingress: { sent: received, leaked: guest.received },
      };
    } finally {
      storm.close();
      await end();
    }
  } finally {
    lab.close();
  }
}

/** One contender after the other, each on a host of its own. */
export async function runLeak(contenders: readonly Contender[], options: LeakOptions): Promise<LeakResult[]> {
  const results: LeakResult[] = [];
  for (const contender of contenders) results.push(await measure(contender, options));
  return results;
}
