/** Devices attached and detached by the hundred thousand, on the real kernel. */
import assert from 'node:assert/strict';
import { Hand } from '#src/agent/manual.js';
import { Compiler } from '#src/compiler/compiler.js';
import type { Lab } from '#src/demo/lab.js';
import type { Link } from '#src/links/link.js';
import { renameLink } from '#src/links/request.js';
import { leaf } from '#src/netlink/attribute.js';
import { cString } from '#src/netlink/bytes.js';
import { GUARD, withAgent } from '../support/agent.js';
import { kernel, withLab } from '../support/host.js';
import { PATIENCE_MS, until } from '../support/station.js';
import { type Sample, takeSample } from './sample.js';

/** linux/if_link.h. */
const IFLA_IFALIAS = 20;
/** One in so many devices has a file of its own, whose tables come and go as well. */
const OWN_FILE = 10;
const SAMPLES = 40;

const YAML = `devices: { prefixes: [macvtap], names: ["macvtap{0..499}"] }
policies:
  lan: { guards: [mac, ethertype, ip], egress: "ip daddr 192.168.0.0/16 drop", default: accept }
  own: { file: guard.nft, guards: [mac] }
bindings:
  - { alias: "own*", policy: own }
  - { alias: "lan*", addresses: [192.0.2.7, "2001:db8::7"], policy: lan }
`;
const FILES = { 'tapwall.yaml': YAML, 'guard.nft': GUARD };

export interface SoakOptions {
  /** Attachments, each with its detachment. */
  pairs: number;
  /** At a time. */
  devices: number;
  /** After how many rounds over all devices these are deleted and made anew. */
  roundsOfALife: number;
  say?: (sample: Sample) => void;
}

function mac(number: number): string {
  return `52:54:00:02:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`;
}

/** Up: of an alias on a device that is down the kernel tells nobody (netdev_state_change() of net/core/dev.c). */
function create(lab: Lab, devices: number): Link[] {
  return Array.from({ length: devices }, (_, number) =>
    lab.addMacvtap({ name: `macvtap${number}`, mac: mac(number) }),
  );
}

/** An alias, or none with the empty text. */
function setAlias(lab: Lab, { index }: Link, alias: string): void {
  const attributes = [leaf(IFLA_IFALIAS, alias === '' ? new Uint8Array() : cString(alias))];
  lab.host.route.request({ ...renameLink(index, ''), attributes }, 'RTM_SETLINK');
}

/** Pairs by link events: real devices that get an alias that a binding knows, and lose it again or are deleted. */
export async function soakEvents({ pairs, devices, roundsOfALife, say }: SoakOptions): Promise<Sample[]> {
  const samples: Sample[] = [];
  const sample = (done: number, lab: Lab) => {
    const one = takeSample(done, lab.host.namespace);
    samples.push(one);
    say?.(one);
  };
  await withLab((lab) =>
    withAgent(
      lab,
      FILES,
      async ({ agent, log }) => {
        const count = { attached: 0, detached: 0 };
        const wrong: string[] = [];
        // The log would be what grows.
        agent.on('event', (told) => {
          log.events.length = 0;
          const { event } = told;
          if (event === 'attached' || event === 'detached') count[event]++;
          else if (event !== 'unmatched' && event !== 'overflow') wrong.push(JSON.stringify(told));
        });
        let links: Link[] = [];
        let done = 0;
        const every = Math.ceil(pairs / devices / SAMPLES);
        for (let round = 0; done < pairs; round++) {
          const isNew = round % roundsOfALife === 0;
          if (isNew) links = create(lab, devices);
          for (const [number, link] of links.entries()) {
            setAlias(lab, link, number % OWN_FILE === 0 ? 'own file' : 'lan');
          }
          done += devices;
          await until('all are attached', () => count.attached === done, PATIENCE_MS);
          const isLast = (round + 1) % roundsOfALife === 0 || done >= pairs;
          for (const link of links) {
            if (isLast) lab.remove(link.index);
            else setAlias(lab, link, '');
          }
          await until('all are detached', () => count.detached === done, PATIENCE_MS);
          if (round % every === 0 || done >= pairs) sample(done, lab);
        }
        assert.deepEqual(wrong, []);
      },
      { placement: 'names' },
    ),
  );
  return samples;
}

/** Pairs by hand, as `tapwall attach` and `detach` make them, on devices that stay. */
export async function soakByHand({
  pairs,
  devices,
  say,
}: Omit<SoakOptions, 'roundsOfALife'>): Promise<Sample[]> {
  const samples: Sample[] = [];
  await withLab(async (lab) => {
    const compiler = new Compiler();
    const source = { name: 'guard', file: 'guard.nft', text: GUARD, directory: undefined, variables: {} };
    const { program } = await compiler.compile(source);
    compiler.close();
    const links = create(lab, devices);
    const hand = new Hand(kernel, lab.host.namespace);
    try {
      const every = Math.ceil(pairs / devices / SAMPLES);
      for (let done = 0, round = 0; done < pairs; round++) {
        for (const link of links) hand.attach(link, program);
        for (const { name } of links) hand.detach(name);
        done += devices;
        if (round % every !== 0 && done < pairs) continue;
        const one = takeSample(done, lab.host.namespace);
        samples.push(one);
        say?.(one);
        await new Promise(setImmediate);
      }
    } finally {
      hand.close();
    }
  });
  return samples;
}
