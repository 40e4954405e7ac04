import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { eachAttribute } from '../netlink/attribute.js';
import { parseString, viewOf } from '../netlink/bytes.js';
import { NETLINK_NETFILTER } from '../netlink/constants.js';
import { isKernelError } from '../netlink/error.js';
import type { Message } from '../netlink/message.js';
import { othersFilter } from '../nftables/change-filter.js';
import {
  NFNLGRP_NFTABLES,
  NFPROTO_NETDEV,
  NFT_MSG_DELSETELEM,
  NFT_MSG_NEWGEN,
  NFT_MSG_NEWSETELEM,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_TABLE_NAME,
} from '../nftables/constants.js';
import { generationSchema } from '../nftables/generation.js';
import { parseNftablesMessage } from '../nftables/message.js';
import { SHARED_TABLE } from '../program/blueprint.js';
import { parseDeviceTableName } from '../program/name.js';

/** Who committed a transaction, as the kernel tells of it. */
export interface Actor {
  /** The netlink port of its socket. */
  port: number;
  processId: number | undefined;
  processName: string | undefined;
}

/** What somebody else has changed in tables of tapwall's since the last look. */
export interface ForeignChange {
  /** Each once; at most {@link MOST_ACTORS}. Empty when the notifications were lost. */
  by: Actor[];
  /** The tables it was about; what was lost may have been about any. */
  tables: Set<string>;
  /** The sets of the shared table whose elements it was about. */
  sets: Set<string>;
  lost: boolean;
  /** Whether so much was lost that there was no room for it: it may have been about thousands of elements. */
  isMuch: boolean;
}

const MOST_ACTORS = 8;

/** Bytes of notifications that the kernel keeps: a large foreign transaction is told of element by element. */
const NOTIFICATION_BUFFER = 8 << 20;

/** Listens to what others change in nf_tables. */
export class Watch {
  readonly socket: NetlinkSocket;
  readonly #ownPort: number;
  /** Tables of tapwall's in a transaction whose end has not been read. */
  #touched = new Set<string>();
  /** Whether something may have been changed while nothing was told. */
  #isLost = false;

  /** @param ownPort what this port commits is none of its business. */
  constructor(kernel: Kernel, namespace: NamespaceHandle | undefined, ownPort: number) {
    this.#ownPort = ownPort;
    this.socket = kernel.openSocket({
      protocol: NETLINK_NETFILTER,
      namespace,
      receiveBuffer: NOTIFICATION_BUFFER,
      groups: [NFNLGRP_NFTABLES],
      filter: othersFilter(ownPort),
    });
  }

  /** Reads all that is queued. @returns undefined when nothing of tapwall's was touched. */
  drain(): ForeignChange | undefined {
    const change: ForeignChange = {
      by: [],
      tables: new Set(),
      sets: new Set(),
      lost: this.#isLost,
      isMuch: false,
    };
    this.#isLost = false;
    for (;;) {
      const messages = this.#next();
      if (messages === undefined) break;
      if (messages === 'lost') {
        change.lost = true;
        change.isMuch = true;
        this.#touched.clear();
      } else {
        for (const message of messages) this.#note(message, change);
      }
    }
    return change.lost || change.tables.size > 0 ? change : undefined;
  }

  /**
   * Does something while the kernel tells nothing, not even of what others do.
   * @param isUndisturbed whether nobody else has changed anything since before it was begun; `isDone` is false when it
   *   came to nothing.
   */
  deafTo(work: () => void, isUndisturbed: (isDone: boolean) => boolean): void {
    const wasLost = this.#isLost;
    let isDone = false;
    this.socket.listen(false);
    this.#isLost = true;
    try {
      work();
      isDone = true;
    } finally {
      this.socket.listen(true);
      if (isUndisturbed(isDone)) this.#isLost = wasLost;
    }
  }

  /** Whether `drain` has something to tell of that the socket does not. */
  get isLost(): boolean {
    return this.#isLost;
  }

  close(): void {
    this.socket.close();
  }

  #next(): Message[] | 'lost' | undefined {
    try {
      return this.socket.receive();
    } catch (error) {
      if (isKernelError(error, 'ENOBUFS')) return 'lost';
      throw error;
    }
  }

  /** The kernel tells first what a transaction did and then, with a NEWGEN, whose it was. */
  #note(message: Message, change: ForeignChange): void {
    if (message.portId === this.#ownPort) return;
    const parsed = parseNftablesMessage(message);
    if (!parsed) return;
    const { operation, family, attributes } = parsed;
    if (operation !== NFT_MSG_NEWGEN) {
      const table = family === NFPROTO_NETDEV ? tableIn(attributes) : undefined;
      if (table !== undefined && isOwnName(table)) this.#touched.add(table);
      if (table === SHARED_TABLE && ELEMENTS.has(operation)) change.sets.add(setIn(attributes));
      return;
    }
    if (this.#touched.size === 0) return;
    for (const table of this.#touched) change.tables.add(table);
    this.#touched.clear();
    const { processId, processName } = generationSchema.parse(attributes);
    const known = change.by.some(({ port }) => port === message.portId);
    if (!known && change.by.length < MOST_ACTORS) {
      change.by.push({ port: message.portId, processId, processName });
    }
  }
}

function isOwnName(table: string): boolean {
  return table === SHARED_TABLE || parseDeviceTableName(table) !== undefined;
}

/** What tells of elements that came or went. */
const ELEMENTS: ReadonlySet<number> = new Set([NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM]);

/** The table's name is attribute 1 of every object. */
function tableIn(attributes: Uint8Array): string | undefined {
  return textIn(attributes, NFTA_TABLE_NAME);
}

function setIn(attributes: Uint8Array): string {
  return textIn(attributes, NFTA_SET_ELEM_LIST_SET) ?? '';
}

function textIn(attributes: Uint8Array, wanted: number): string | undefined {
  let text: string | undefined;
  eachAttribute(viewOf(attributes), 0, attributes.length, (type, start, end) => {
    if (type === wanted && text === undefined) text = parseString(attributes.subarray(start, end));
  });
  return text;
}
