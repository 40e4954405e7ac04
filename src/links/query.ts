import type { NetlinkSocket } from '../kernel/socket.js';
import { isKernelError } from '../netlink/error.js';
import type { Message } from '../netlink/message.js';
import { type Link, parseLinkEvent } from './link.js';
import { dumpLinks, getLink } from './request.js';

function linksIn(messages: readonly Message[]): Link[] {
  return messages.flatMap((message) => {
    const event = parseLinkEvent(message);
    return event?.type === 'new' ? [event.link] : [];
  });
}

/** Every link of the namespace that the socket is in. */
export function listLinks(route: NetlinkSocket): Link[] {
  return linksIn(route.dump(dumpLinks(), 'the dump of the links'));
}

/** One link, by index or name, as it is now; undefined when there is none. */
export function findLink(
  route: NetlinkSocket,
  which: { index: number } | { name: string },
): Link | undefined {
  try {
    return linksIn(route.request(getLink(which), 'RTM_GETLINK'))[0];
  } catch (error) {
    if (isKernelError(error, 'ENODEV')) return undefined;
    throw error;
  }
}
