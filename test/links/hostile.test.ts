import { parseLinkEvent } from '#src/links/link.js';
import { parseMessages } from '#src/netlink/message.js';
import { testHostileBytes } from '../fixtures-support/hostile.js';

const RTM_NEWLINK = 16;

testHostileBytes([
  {
    name: 'parseLinkEvent',
    input: 'payload',
    decode: (payload) => parseLinkEvent({ type: RTM_NEWLINK, flags: 0, sequence: 0, portId: 0, payload }),
  },
  {
    name: 'parseMessages and parseLinkEvent',
    input: 'datagram',
    decode: (bytes) => parseMessages(bytes).map(parseLinkEvent),
  },
]);
