/** Link events, as a socket of tapwall's own receives them while iproute2 works. */

import type { NetlinkSocket } from '#src/kernel/socket.js';
import { RTNLGRP_LINK } from '#src/links/constants.js';
import { NETLINK_ROUTE } from '#src/netlink/constants.js';
import { type CaptureHost, kernel, messagesOf, onHost, writeFixture } from './capture-host.js';
import type { FixtureMessage } from './hex.js';

function watch(host: CaptureHost): NetlinkSocket {
  return kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: host.namespace, groups: [RTNLGRP_LINK] });
}

function drain(socket: NetlinkSocket, comment: string): FixtureMessage[] {
  const messages: FixtureMessage[] = [];
  for (let datagram = socket.transport.receive(); datagram; datagram = socket.transport.receive()) {
    messages.push(...messagesOf(datagram, comment));
  }
  return messages;
}

/** The events of each command, after those of `before`, which are of no interest. */
function record(host: CaptureHost, before: string[], commands: string[]): FixtureMessage[] {
  for (const command of before) host.tool(command);
  const socket = watch(host);
  try {
    return commands.flatMap((command) => {
      host.tool(command);
      return drain(socket, command);
    });
  } finally {
    socket.close();
  }
}

const PARENT = 'ip link add up0 index 21 address 02:00:00:00:00:21 type veth peer name up1 index 22';
const MACVTAP =
  'ip link add link up0 name macvtap0 index 42 address 52:54:00:aa:bb:cc type macvtap mode bridge';

export function captureLinks(): void {
  onHost((host) => {
    const messages = record(
      host,
      [PARENT],
      [
        MACVTAP,
        'ip link set up0 up',
        'ip link set macvtap0 up',
        'ip link set macvtap0 alias myvm',
        'ip link set macvtap0 name web-1',
        'ip link delete web-1',
      ],
    );
    writeFixture(
      'links/macvtap',
      'the life of a macvtap device; its parent up0 goes up in between',
      messages,
    );
  });
  onHost((host) => {
    const messages = record(
      host,
      [],
      [
        'ip link add vm0 index 11 address 02:00:00:00:00:11 type veth peer name vm1 index 12 address 02:00:00:00:00:12',
        'ip link delete vm0',
      ],
    );
    writeFixture('links/veth', 'a veth pair comes and goes', messages);
  });
  onHost((host) => {
    const messages = record(
      host,
      [
        'ip link add br0 index 31 address 02:00:00:00:00:31 type bridge',
        'ip link add vm0 index 11 address 02:00:00:00:00:11 type veth peer name vm1 index 12',
        'ip link set vm0 master br0',
      ],
      ['ip link set vm0 nomaster'],
    );
    writeFixture('links/bridge-port', 'a link leaves its bridge, and lives on', messages);
  });
  onHost((host) =>
    onHost((other) => {
      host.tool(PARENT);
      host.tool(MACVTAP);
      const [source, destination] = [watch(host), watch(other)];
      const move = `ip link set macvtap0 netns ${other.namespace.path}`;
      host.tool(move);
      const command = 'ip link set macvtap0 netns OTHER';
      writeFixture('links/move', 'a macvtap device moves to another network namespace', [
        ...drain(source, `${command}, seen where it was`),
        ...drain(destination, `${command}, seen in OTHER`),
      ]);
      source.close();
      destination.close();
    }),
  );
}
