/** A throw-away network namespace with a veth device, on the kernel that the tests run on. */
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { FORBID_HOST_NAMESPACE, linuxKernel } from '#src/kernel/linux.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { type LinkEvent, parseLinkEvent } from '#src/links/link.js';
import { findLink } from '#src/links/query.js';
import { type NewLink, newLink } from '#src/links/request.js';
import { NETLINK_ROUTE } from '#src/netlink/constants.js';

const RTNLGRP_LINK = 1;

// A mistake here must not reach the machine's own network.
process.env[FORBID_HOST_NAMESPACE] = '1';

export class Host {
  readonly namespace: NamespaceHandle;
  readonly route: NetlinkSocket;
  readonly #kernel = linuxKernel();
  readonly #open: NetlinkSocket[] = [];

  constructor() {
    this.namespace = this.#kernel.createNamespace();
    this.route = this.#keep(this.#kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: this.namespace }));
  }

  add(link: NewLink): number {
    this.route.request(newLink(link), `RTM_NEWLINK ${link.name}`);
    return this.index(link.name);
  }

  index(name: string): number {
    const link = findLink(this.route, { name });
    if (!link) throw new Error(`there is no ${name}`);
    return link.index;
  }

  /** A socket that is told of links, with or without a filter. */
  watch(filter?: Uint8Array): NetlinkSocket {
    const options = { protocol: NETLINK_ROUTE, namespace: this.namespace, groups: [RTNLGRP_LINK] };
    return this.#keep(this.#kernel.openSocket(filter ? { ...options, filter } : options));
  }

  close(): void {
    for (const socket of this.#open) socket.close();
    this.namespace.close();
  }

  #keep(socket: NetlinkSocket): NetlinkSocket {
    this.#open.push(socket);
    return socket;
  }
}

/** The events that are queued. Route requests are handled inside sendto(2), so all there will be is there. */
export function drain(socket: NetlinkSocket): LinkEvent[] {
  const events: LinkEvent[] = [];
  for (let messages = socket.receive(); messages; messages = socket.receive()) {
    events.push(...messages.flatMap((message) => parseLinkEvent(message) ?? []));
  }
  return events;
}
