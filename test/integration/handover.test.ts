/** What passes, and what doesn't, while the door itself is put in place, or replaced. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Placement } from '#src/config/configuration.js';
import type { Tap } from '#src/demo/tap.js';
import { GUARD, PLACEMENTS, withAgent } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { packet, until } from '../support/station.js';

const INLINE = { name: 'macvtap0', mac: '52:54:00:00:00:0a' };
const OWN_FILE = { name: 'macvtap1', mac: '52:54:00:00:00:0b' };

/** The same rules twice: nothing to or from 192.168.0.0/16, and everything else. */
const YAML = `policies:
  lan:
    guards: []
    ingress: ip saddr 192.168.0.0/16 drop
    egress: ip daddr 192.168.0.0/16 drop
    default: accept
  file: { file: guard.nft }
bindings:
  - { mac: "${INLINE.mac}", policy: lan }
  - { mac: "${OWN_FILE.mac}", policy: file }
`;

/** Fewer than a tap's queue holds, so that none is lost there. */
const BURST = 20;

/** Sends frames both ways between guests and the world, again and again, and sees which come. */
class Traffic {
  readonly #guests: readonly Tap[];
  readonly #world: Tap;
  readonly #awaited = new Set<string>();
  #sent = 0;
  #forbidden = 0;
  #flowing = true;
  readonly #done: Promise<void>;

  /** @param forbidden whether what the policies drop is sent too. */
  constructor(guests: readonly Tap[], world: Tap, { forbidden }: { forbidden: boolean }) {
    this.#guests = guests;
    this.#world = world;
    this.#done = this.#flow(forbidden);
  }

  /** @returns how many were sent, and of those that should have come how many did not; and the others that did. */
  async stop(): Promise<{ sent: number; lost: number; leaked: number }> {
    this.#flowing = false;
    await this.#done;
    await until('what is on its way has come', () => {
      this.#collect();
      return true;
    });
    for (let more = 0; more < 50 && this.#awaited.size > 0; more++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      this.#collect();
    }
    return { sent: this.#sent, lost: this.#awaited.size, leaked: this.#forbidden };
  }

  async #flow(forbidden: boolean): Promise<void> {
    while (this.#flowing) {
      for (let count = 0; count < BURST; count++) {
        for (const guest of this.#guests) {
          this.#send(packet(guest, this.#world), true);
          this.#send(packet(this.#world, guest), true);
          if (!forbidden) continue;
          this.#send(packet(guest, this.#world, { destination: '192.168.7.7' }), false);
          this.#send(packet(this.#world, guest, { source: '192.168.7.7' }), false);
        }
      }
      this.#collect();
      await new Promise(setImmediate);
    }
  }

  #send({ id, from, frame }: ReturnType<typeof packet>, passes: boolean): void {
    if (passes) this.#awaited.add(id);
    this.#sent++;
    from.send(frame);
  }

  #collect(): void {
    for (const tap of [this.#world, ...this.#guests]) {
      for (let frame = tap.receive(); frame; frame = tap.receive()) {
        const [id] = /<test-frame-\d+>/.exec(frame.toString('latin1')) ?? [];
        if (id !== undefined && !this.#awaited.delete(id)) this.#forbidden++;
      }
    }
  }
}

for (const placement of PLACEMENTS) {
  describe(`the first start, placement ${placement}`, () => {
    it('does not cut off devices that were there, for a single frame that their policies admit', () =>
      withLab(async (lab) => {
        const guests = [lab.addGuest(INLINE), lab.addGuest(OWN_FILE)];
        const traffic = new Traffic(guests, lab.world(), { forbidden: false });
        const files = { 'tapwall.yaml': YAML, 'guard.nft': GUARD };
        await withAgent(
          lab,
          files,
          async ({ log }) => {
            const { sent, ...wrong } = await traffic.stop();
            assert.equal(log.of('attached').length, 2);
            assert.ok(sent > 1_000, `only ${sent} frames were sent`);
            assert.deepEqual(wrong, { lost: 0, leaked: 0 });
          },
          { placement },
        );
      }));
  });
}

describe('a change of placement', () => {
  for (const from of PLACEMENTS) {
    it(`from ${from} to each other and back opens nothing and cuts nothing off`, () =>
      withLab(async (lab) => {
        const guests = [lab.addGuest(INLINE), lab.addGuest(OWN_FILE)];
        const world = lab.world();
        const yaml = (placement: Placement) =>
          `devices: { names: ["macvtap{0..99}"] }\nplacement: ${placement}\n${YAML}`;
        const files = { 'tapwall.yaml': yaml(from), 'guard.nft': GUARD };
        await withAgent(lab, files, async ({ reload }) => {
          const traffic = new Traffic(guests, world, { forbidden: true });
          for (const to of PLACEMENTS) {
            if (to === from) continue;
            for (let round = 0; round < 2; round++) {
              await reload(yaml(to));
              await reload(yaml(from));
            }
          }
          const { sent, ...wrong } = await traffic.stop();
          assert.ok(sent > 1_000, `only ${sent} frames were sent`);
          assert.deepEqual(wrong, { lost: 0, leaked: 0 });
        });
      }));
  }
});

describe('a change of the names that are hooked in advance', () => {
  it('opens nothing and cuts nothing off, for devices that leave them or come among them', () =>
    withLab(async (lab) => {
      const guests = [lab.addGuest(INLINE), lab.addGuest(OWN_FILE)];
      const world = lab.world();
      const yaml = (names: string) => `devices: { names: [${names}] }\nplacement: names\n${YAML}`;
      const files = { 'tapwall.yaml': yaml('"macvtap{0..9}"'), 'guard.nft': GUARD };
      await withAgent(lab, files, async ({ reload }) => {
        const traffic = new Traffic(guests, world, { forbidden: true });
        for (let round = 0; round < 3; round++) {
          for (const names of ['"macvtap{1..400}"', '"macvtap{100..199}"', '"macvtap{0..9}"']) {
            await reload(yaml(names));
          }
        }
        const { sent, ...wrong } = await traffic.stop();
        assert.ok(sent > 1_000, `only ${sent} frames were sent`);
        assert.deepEqual(wrong, { lost: 0, leaked: 0 });
      });
    }));
});
