import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { RTNLGRP_LINK } from '../links/constants.js';
import { macvtapFilter } from '../links/filter.js';
import { type LinkEvent, parseLinkEvent } from '../links/link.js';
import { NETLINK_ROUTE } from '../netlink/constants.js';
import { isKernelError } from '../netlink/error.js';

/**
 * Bytes of events the kernel keeps for the agent while it is busy. An event is about 1.5 KB, so this holds several
 * thousand; the system's default held 92.
 */
const EVENT_BUFFER = 8 << 20;

/** The events of macvtap devices. */
export class LinkEvents {
  readonly socket: NetlinkSocket;

  constructor(kernel: Kernel, namespace: NamespaceHandle | undefined) {
    this.socket = kernel.openSocket({
      protocol: NETLINK_ROUTE,
      namespace,
      receiveBuffer: EVENT_BUFFER,
      groups: [RTNLGRP_LINK],
      filter: macvtapFilter(),
    });
  }

  /** The events of one datagram that is queued; undefined when none is, and `lost` once when some were. */
  next(): LinkEvent[] | 'lost' | undefined {
    try {
      const messages = this.socket.receive();
      if (!messages) return undefined;
      const events: LinkEvent[] = [];
      for (const message of messages) {
        const event = parseLinkEvent(message);
        if (event) events.push(event);
      }
      return events;
    } catch (error) {
      if (isKernelError(error, 'ENOBUFS')) return 'lost';
      throw error;
    }
  }

  /**
   * Throws away what is queued before everything is read again. It is older than what will be read; and until the
   * queue has been empty once, the kernel loses further events without another ENOBUFS (netlink_overrun() and
   * NETLINK_S_CONGESTED, net/netlink/af_netlink.c).
   */
  discard(): void {
    while (this.next() !== undefined);
  }

  close(): void {
    this.socket.close();
  }
}
