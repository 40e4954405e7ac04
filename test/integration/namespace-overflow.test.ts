/** Link events of one of several namespaces are lost: nothing is wrong in it afterwards, and the others hear nothing of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusIn } from '#src/agent/status.js';
import type { Lab } from '#src/demo/lab.js';
import { renameLink } from '#src/links/request.js';
import { leaf } from '#src/netlink/attribute.js';
import { cString } from '#src/netlink/bytes.js';
import { PLACEMENTS, withFiles } from '../support/agent.js';
import { kernel, withLab } from '../support/host.js';
import { NamedNamespaces } from '../support/named-namespaces.js';
import { Running } from '../support/run.js';
import { fates, packet, until } from '../support/station.js';

const mac = (number: number) => `52:54:00:00:02:${number.toString(16).padStart(2, '0')}`;
const LAN = { destination: '192.168.7.7' };
/** Each takes over two kibibytes of the sixteen mebibytes that the socket has (twice what it asked for). */
const EVENTS = 12_000;
const IFLA_IFALIAS = 20;

const yaml = (placement: string, glob: string) => `placement: ${placement}
namespaces: [self, "${glob}"]
policies:
  lan: { guards: [], egress: "ip daddr 192.168.0.0/16 drop", default: accept }
bindings: [{ device: "*", policy: lan }]
`;

function devicesIn({ host }: Lab): string[] {
  return statusIn(kernel, host.namespace).devices.map(
    ({ device, state, policy = '-' }) => `${device} ${state} ${policy}`,
  );
}

function setAlias({ host }: Lab, index: number, alias: string): void {
  const attributes = [leaf(IFLA_IFALIAS, cString(alias))];
  host.route.request({ ...renameLink(index, ''), attributes }, 'RTM_SETLINK');
}

for (const placement of PLACEMENTS) {
  test(`events of one namespace are lost while the agent stands still, placement ${placement}`, async () => {
    const names = new NamedNamespaces();
    try {
      await withLab((calm) =>
        withLab((stormy) =>
          withFiles({ 'tapwall.yaml': yaml(placement, names.glob) }, async (folder) => {
            const stormyName = names.add('stormy', stormy.host.namespace);
            const running = new Running(calm, folder);
            try {
              await running.saw('ready');
              const old = stormy.addGuest({ name: 'macvtap0', mac: mac(0) });
              const doomed = stormy.addGuest({ name: 'macvtap1', mac: mac(1) });
              await running.saw('attached', 2);

              running.child.kill('SIGSTOP');
              for (let event = 0; event < EVENTS; event++) setAlias(stormy, old.index, `${event}`);
              stormy.remove(doomed.index);
              const late = stormy.addGuest({ name: 'macvtap2', mac: mac(2) });
              const other = calm.addGuest({ name: 'macvtap0', mac: mac(0) });
              running.child.kill('SIGCONT');

              await until('all devices are there', () => devicesIn(stormy).join() === LEFT.join());
              await until('those of the other, too', () => devicesIn(calm).join() === LEFT[0]);
              const [to, from] = [stormy.world(), calm.world()];
              const shots = [old, late].flatMap((guest) => [packet(guest, to), packet(guest, to, LAN)]);
              shots.push(packet(other, from), packet(other, from, LAN));
              assert.deepEqual(await fates(shots), [true, false, true, false, true, false]);
              const lost = running.events.filter(({ event }) => event === 'overflow');
              assert.deepEqual(
                lost.map((event) => 'namespace' in event && event.namespace),
                [stormyName],
              );
              const amiss = ['failed', 'repaired', 'error', 'namespace-failed'];
              assert.deepEqual(
                running.events.filter(({ event }) => amiss.includes(event)),
                [],
              );
            } finally {
              running.child.kill('SIGKILL');
              await running.exited;
            }
          }),
        ),
      );
    } finally {
      names.close();
    }
  });
}

/** What is in the namespace whose events were lost. */
const LEFT = ['macvtap0 attached lan', 'macvtap2 attached lan'];
