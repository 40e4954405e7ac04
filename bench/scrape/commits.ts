import { linuxKernel } from '#src/kernel/linux.js';
import { MACVLAN_MODE_BRIDGE } from '#src/links/constants.js';
import { parseMac } from '#src/links/link.js';
import { deleteLink, newLink } from '#src/links/request.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { isKernelError } from '#src/netlink/error.js';
import { NFNLGRP_NFTABLES, NFT_MSG_NEWGEN } from '#src/nftables/constants.js';
import { parseNftablesMessage } from '#src/nftables/message.js';
import { type Crowd, numberedDevice } from '../crowd.js';

/** Only a failure reaches it. */
const DEADLINE_MS = 20_000;
/** Between two of the transactions that the agent sends by itself is less. */
const QUIET_MS = 2_000;
const NO_WAKER = -1;
const BUFFER = 8 << 20;

/** Makes devices and sees when the agent has committed their filters, from outside: by the kernel's notifications. */
export class Commits {
  readonly #kernel = linuxKernel();
  readonly #crowd: Crowd;
  readonly #socket;
  readonly #parentIndex: number;

  constructor(crowd: Crowd) {
    this.#crowd = crowd;
    const { namespace } = crowd.lab.host;
    this.#parentIndex = crowd.lab.host.link(crowd.lab.parent).index;
    this.#socket = this.#kernel.openSocket({
      protocol: NETLINK_NETFILTER,
      namespace,
      groups: [NFNLGRP_NFTABLES],
      receiveBuffer: BUFFER,
    });
    // What the agent still has to do for the devices that are there is nobody's attachment.
    const isQuiet = () => !this.#kernel.wait([this.#socket], NO_WAKER, QUIET_MS).sockets[0];
    for (const end = performance.now() + DEADLINE_MS; !isQuiet() && performance.now() < end; ) this.#drain();
  }

  #drain(): void {
    try {
      while (this.#socket.receive());
    } catch (error) {
      if (!isKernelError(error, 'ENOBUFS')) throw error;
    }
  }

  /** Makes one more device and takes it away. @returns nanoseconds from when it was there to the commit of its filter. */
  one(): number {
    const { route } = this.#crowd.lab.host;
    const { name, mac } = numberedDevice(this.#crowd.devices);
    const link = {
      name,
      kind: 'macvtap',
      mac: parseMac(mac),
      parentIndex: this.#parentIndex,
      mode: MACVLAN_MODE_BRIDGE,
    };
    route.request(newLink(link), `RTM_NEWLINK ${name}`);
    const made = process.hrtime.bigint();
    this.#next();
    const nanoseconds = Number(process.hrtime.bigint() - made);
    route.request(deleteLink(this.#crowd.lab.host.link(name).index), `RTM_DELLINK ${name}`);
    this.#next();
    return nanoseconds;
  }

  close(): void {
    this.#socket.close();
  }

  /** Returns when the next transaction has come into force. */
  #next(): void {
    for (const end = performance.now() + DEADLINE_MS; performance.now() < end; ) {
      this.#kernel.wait([this.#socket], NO_WAKER, 1_000);
      try {
        for (let messages = this.#socket.receive(); messages; messages = this.#socket.receive()) {
          if (messages.some((one) => parseNftablesMessage(one)?.operation === NFT_MSG_NEWGEN)) return;
        }
      } catch (error) {
        if (!isKernelError(error, 'ENOBUFS')) throw error;
        return;
      }
    }
    throw new Error(`the agent has committed nothing in ${DEADLINE_MS} ms`);
  }
}
