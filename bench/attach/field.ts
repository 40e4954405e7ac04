import { Lab } from '#src/demo/lab.js';
import type { Kernel } from '#src/kernel/kernel.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import type { Link } from '#src/links/link.js';
import { leaf } from '#src/netlink/attribute.js';
import { cString } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { encodeBatch } from '#src/nftables/batch.js';
import {
  NFT_MSG_DELTABLE,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETRULE,
  NFTA_TABLE_NAME,
} from '#src/nftables/constants.js';
import { dumpRequest, nftablesRequest } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { attachBatch, attachLength } from '#src/program/attach.js';
import { passedDirection } from '#src/program/passed.js';
import type { Program } from '#src/program/program.js';
import type { DeviceFacts } from '#src/program/slot.js';
import { numberedDevice } from '../crowd.js';

/** BATCH_BEGIN, one message, BATCH_END. */
const DELETION_LENGTH = 3;

function factsOf(link: Link): DeviceFacts {
  return { index: link.index, name: link.name, mac: link.mac ?? '', origin: 'agent', links: new Map() };
}

/** A throw-away host with a number of devices that are filtered, and one more that contenders attach to in turn. */
export class Field {
  /** The one more. */
  readonly probe: DeviceFacts;
  readonly #lab: Lab;
  readonly #netfilter: NetlinkSocket;
  readonly #program: Program;
  #devices = 0;

  constructor(kernel: Kernel, program: Program) {
    this.#lab = new Lab(kernel);
    this.#netfilter = kernel.openSocket({
      protocol: NETLINK_NETFILTER,
      namespace: this.#lab.host.namespace,
    });
    this.#program = program;
    this.probe = this.#addDevice(0);
  }

  /** The host's network namespace, for other processes. */
  get namespacePath(): string {
    return this.#lab.namespacePath;
  }

  /** Adds devices until so many are filtered. */
  growTo(devices: number): void {
    while (this.#devices < devices) {
      const facts = this.#addDevice(++this.#devices);
      this.#netfilter.commitWith(attachLength(this.#program, []), (sequence) =>
        attachBatch(this.#program, facts, sequence),
      );
    }
  }

  /** @throws KernelError ENOENT when there is no such table: whoever should have made it has not. */
  removeTable(name: string): void {
    const request = nftablesRequest(NFT_MSG_DELTABLE, 0, [leaf(NFTA_TABLE_NAME, cString(name))]);
    this.#netfilter.commitWith(DELETION_LENGTH, (sequence) =>
      encodeBatch([{ request, label: `DELTABLE ${name}` }], sequence),
    );
  }

  /**
   * What a table filters, as text: equal texts filter alike, whatever the tables are called. What tapwall's has besides, to count
   * what passes, is left out: the others needn't have it.
   */
  readTable(name: string): string {
    const messages = [NFT_MSG_GETCHAIN, NFT_MSG_GETRULE].flatMap((operation) =>
      this.#netfilter.dump(dumpRequest(operation), 'the dump of chains and rules'),
    );
    const { chains, rules } = parseRuleset(messages);
    const lines = chains
      .filter((chain) => chain.table === name && passedDirection(chain.name ?? '') === undefined)
      .map((chain) => {
        const inside = rules.filter((rule) => rule.table === name && rule.chain === chain.name);
        const { hook, policy, type } = chain;
        return JSON.stringify([chain.name, hook, policy, type, inside.map(({ expressions }) => expressions)]);
      });
    return lines.sort().join('\n');
  }

  close(): void {
    // With their parent go all the devices, and before this returns; left to the end of the namespace they would go
    // some time later, in the way of what is measured next.
    this.#lab.remove(this.#lab.host.link(this.#lab.parent).index);
    this.#netfilter.close();
    this.#lab.close();
  }

  #addDevice(number: number): DeviceFacts {
    return factsOf(this.#lab.addMacvtap(numberedDevice(number)));
  }
}
