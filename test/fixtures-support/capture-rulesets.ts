/** What nft sends for a ruleset, and what the kernel then dumps. */
import { addPrefixChain } from '#src/compiler/prefix-chain.js';
import { NETLINK_NETFILTER, NLM_F_CREATE } from '#src/netlink/constants.js';
import { encodeRequest, parseMessages } from '#src/netlink/message.js';
import { encodeBatch, type Operation } from '#src/nftables/batch.js';
import {
  NFNLGRP_NFTABLES,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETGEN,
  NFT_MSG_GETOBJ,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSET,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWTABLE,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
} from '#src/nftables/constants.js';
import { dumpRequest, nftablesRequest } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { attribute, concat, n32, n64, text } from './bytes.js';
import { type CaptureHost, kernel, messagesOf, onHost, writeFixture } from './capture-host.js';
import type { FixtureMessage } from './hex.js';

const RULESETS = ['table', 'chain', 'rule', 'set', 'interval', 'concatenation', 'map', 'object', 'family'];
const ANY_FAMILY = 0;
const BATCH_BEGIN = 16;

const DUMPS: [string, number][] = [
  ['GETTABLE', NFT_MSG_GETTABLE],
  ['GETCHAIN', NFT_MSG_GETCHAIN],
  ['GETRULE', NFT_MSG_GETRULE],
  ['GETOBJ', NFT_MSG_GETOBJ],
  ['GETSET', NFT_MSG_GETSET],
];

function dumpAll(host: CaptureHost): FixtureMessage[] {
  const messages = DUMPS.flatMap(([name, operation]) =>
    messagesOf(host.dump(dumpRequest(operation, [], ANY_FAMILY)), `answer to ${name}`),
  );
  const bytes = concat(messages.map((message) => message.bytes));
  for (const { family, table, name } of parseRuleset(parseMessages(bytes)).sets) {
    const which = [
      { type: 1, flags: 0, value: text(table) },
      { type: 2, flags: 0, value: text(name) },
    ];
    const elements = host.dump(dumpRequest(NFT_MSG_GETSETELEM, which, family));
    messages.push(...messagesOf(elements, `answer to GETSETELEM ${name}`));
  }
  return messages;
}

function addDevices(host: CaptureHost): void {
  host.tool('ip link add vm0 index 11 type veth peer name vm1 index 12');
}

function captureRuleset(name: string): void {
  onHost((host) => {
    addDevices(host);
    const command = `nft -f rulesets/${name}.nft`;
    const batch = host
      .trace(command)
      .filter(({ call }) => call === 'sendmsg')
      .find(({ bytes }) => bytes[4] === BATCH_BEGIN && bytes[5] === 0);
    if (!batch) throw new Error(`${command} sent no transaction`);
    writeFixture(`sent/${name}`, `${command}: what nft sends`, messagesOf(batch.bytes));
    writeFixture(`dumped/${name}`, `${command}, and what the kernel then dumps`, dumpAll(host));
  });
}

function commit(host: CaptureHost, operations: Operation[]): void {
  host.netfilter.commitWith(operations.length + 2, (sequence) => encodeBatch(operations, sequence));
}

function operation(label: string, type: number, ...attributes: [number, Uint8Array][]): Operation {
  const leaves = attributes.map(([number, value]) => ({ type: number, flags: 0, value }));
  return { label, request: nftablesRequest(type, NLM_F_CREATE, leaves) };
}

/** What nft 1.0.6 has no words for. */
function captureRaw(): void {
  onHost((host) => {
    addPrefixChain(host.netfilter);
    const bytes = host.dump(dumpRequest(NFT_MSG_GETCHAIN));
    writeFixture('dumped/prefix', "a chain on the devices 'probe*' (6.17), and GETCHAIN", messagesOf(bytes));
  });
  onHost((host) => {
    addDevices(host);
    const hook = concat([attribute(1, n32(0)), attribute(2, n32(0)), attribute(3, text('vm0'))]);
    const counters = concat([attribute(1, n64(984n)), attribute(2, n64(12n))]);
    commit(host, [
      operation('NEWTABLE', NFT_MSG_NEWTABLE, [1, text('guard')]),
      operation(
        'NEWCHAIN',
        NFT_MSG_NEWCHAIN,
        [1, text('guard')],
        [3, text('in')],
        [4, hook],
        [7, text('filter')],
        [8, counters],
      ),
    ]);
    const bytes = host.dump(dumpRequest(NFT_MSG_GETCHAIN));
    writeFixture(
      'dumped/chain-counters',
      'a base chain with NFTA_CHAIN_COUNTERS, and GETCHAIN',
      messagesOf(bytes),
    );
  });
  onHost((host) => {
    const flags = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;
    // An entry of user data: type 0, the comment.
    const comment = concat([Uint8Array.of(0, 6), text('owned')]);
    commit(host, [
      operation('NEWTABLE', NFT_MSG_NEWTABLE, [1, text('guard')], [2, n32(flags)], [6, comment]),
    ]);
    const bytes = host.dump(dumpRequest(NFT_MSG_GETTABLE));
    writeFixture(
      'dumped/owner',
      'a table with OWNER|PERSIST (6.9), and GETTABLE from its owner',
      messagesOf(bytes),
    );
  });
}

function captureGeneration(): void {
  onHost((host) => {
    const group = { protocol: NETLINK_NETFILTER, namespace: host.namespace, groups: [NFNLGRP_NFTABLES] };
    const events = kernel.openSocket(group);
    const ask = (sequence: number) =>
      host.netfilter.transport.transact(encodeRequest(nftablesRequest(NFT_MSG_GETGEN, 0), sequence));
    const messages = messagesOf(ask(1), 'answer to GETGEN, before any commit');
    host.tool('nft add table netdev guard');
    for (let datagram = events.transport.receive(); datagram; datagram = events.transport.receive()) {
      messages.push(...messagesOf(datagram, "notification of 'nft add table netdev guard'"));
    }
    messages.push(...messagesOf(ask(2), 'answer to GETGEN, after it'));
    events.close();
    writeFixture('dumped/generation', 'GETGEN and NFNLGRP_NFTABLES around one commit', messages);
  });
}

export function captureRulesets(): void {
  for (const name of RULESETS) captureRuleset(name);
  captureRaw();
  captureGeneration();
}
