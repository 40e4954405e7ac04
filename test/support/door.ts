/** The shared table on a device of a lab, put there by nft and joined by tapwall's own messages. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { leaf, parseAttributes, readBe64 } from '#src/netlink/attribute.js';
import { cString, HOST_LITTLE_ENDIAN, viewOf } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { NFT_MSG_GETSETELEM } from '#src/nftables/constants.js';
import type { SetElement } from '#src/nftables/element.js';
import { dumpRequest } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { encodeTransaction, transactionLength } from '#src/nftables/transaction.js';
import type { SharedSource } from '#src/policy/shared.js';
import { type Member, type MemberOperation, memberSegment } from '#src/program/member.js';
import { kernel, runIn } from './host.js';

/** Loads nft text as `nft -f` does. */
export function loadNft(namespace: NamespaceHandle, text: string, device: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-door-'));
  try {
    writeFileSync(join(folder, 'shared.nft'), text);
    const command = ['nft', '-D', `intf=${device}`, '-f', 'shared.nft'];
    const { status, stderr } = runIn(namespace, command, folder);
    assert.equal(status, 0, stderr);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The value in an encoded nft_data attribute. */
export function valueIn(data: Uint8Array | undefined): Buffer {
  const [value] = data ? parseAttributes(data) : [];
  return Buffer.from(value?.value ?? []);
}

export class TestDoor {
  readonly #netfilter: NetlinkSocket;
  readonly #source: SharedSource;
  #members: readonly Member[] = [];

  constructor(namespace: NamespaceHandle, source: SharedSource, device: string) {
    this.#source = source;
    loadNft(namespace, source.text, device);
    this.#netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  }

  /** Replaces what members there were. */
  admit(members: readonly Member[]): void {
    this.#change('leave', this.#members);
    this.#change('join', members);
    this.#members = members;
  }

  elements(set: string): SetElement[] {
    const which = [leaf(1, cString('tapwall')), leaf(2, cString(set))];
    const messages = this.#netfilter.dump(dumpRequest(NFT_MSG_GETSETELEM, which), `the dump of ${set}`);
    return parseRuleset(messages).elements.flatMap(({ elements }) => elements);
  }

  /** How many frames of a device each set has counted; those that counted none are left out. */
  counts(index: number): Map<string, number> {
    const counts = new Map<string, number>();
    for (const set of this.#source.counters) {
      for (const { key, expression } of this.elements(set)) {
        const value = valueIn(key);
        if (viewOf(value).getUint32(0, HOST_LITTLE_ENDIAN) !== index || !expression?.data) continue;
        // NFTA_COUNTER_PACKETS.
        const packets = parseAttributes(expression.data).find(({ type }) => type === 2);
        if (packets) counts.set(set, Number(readBe64(packets)));
      }
    }
    return counts;
  }

  close(): void {
    this.#netfilter.close();
  }

  #change(kind: MemberOperation, members: readonly Member[]): void {
    if (members.length === 0) return;
    const segments = [memberSegment(kind, members)];
    this.#netfilter.commitWith(transactionLength(segments), (first) => encodeTransaction(segments, first));
  }
}
