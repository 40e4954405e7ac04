import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Expression, expressionSchema, ruleSchema } from '#src/nftables/rule.js';
import { attribute, concat, h16, hex, n16, n32, n64, text, userdata } from '../fixtures-support/bytes.js';
import { NEWRULE, parseGolden } from '../fixtures-support/golden.js';

const NFT_REG_VERDICT = 0;
const NFT_REG_1 = 1;
const NF_DROP = 0;
const NF_ACCEPT = 1;
const NFT_GOTO = 0xfffffffc;
const NFT_META_PROTOCOL = 1;
const NFT_META_IIFTYPE = 8;
const LINK_LAYER = 0;
const NETWORK = 1;
const EQUAL = 0;
const NOT_EQUAL = 1;
const ETH_P_IP = 0x0800;
const ARPHRD_ETHER = 1;

/** 32-bit attributes of an expression; their numbers are from linux/netfilter/nf_tables.h. */
function numbers(...pairs: [type: number, value: number][]): Uint8Array {
  return concat(pairs.map(([type, value]) => attribute(type, n32(value))));
}

const meta = (key: number): Expression => ({ name: 'meta', data: numbers([2, key], [1, NFT_REG_1]) });
const payload = (base: number, offset: number, length: number): Expression => ({
  name: 'payload',
  data: numbers([1, NFT_REG_1], [2, base], [3, offset], [4, length]),
});
const cmp = (operator: number, value: Uint8Array): Expression => ({
  name: 'cmp',
  data: concat([numbers([1, NFT_REG_1], [2, operator]), attribute(3, attribute(1, value))]),
});
const verdict = (code: number, chain?: string): Expression => {
  const target = chain === undefined ? [] : [attribute(2, text(chain))];
  const data = attribute(2, attribute(1, n32(code)), ...target);
  return { name: 'immediate', data: concat([numbers([1, NFT_REG_VERDICT]), attribute(2, data)]) };
};

const isEthernet = [meta(NFT_META_IIFTYPE), cmp(EQUAL, h16(ARPHRD_ETHER))];
const isIp = [meta(NFT_META_PROTOCOL), cmp(EQUAL, n16(ETH_P_IP))];

test('rules as the kernel dumps them', () => {
  assert.deepEqual(parseGolden('dumped/rule', NEWRULE, ruleSchema), [
    {
      table: 'guard',
      chain: 'in',
      handle: 3n,
      // ether saddr != 52:54:00:aa:bb:cc counter drop
      expressions: [
        ...isEthernet,
        payload(LINK_LAYER, 6, 6),
        cmp(NOT_EQUAL, hex('525400aabbcc')),
        { name: 'counter', data: concat([attribute(1, n64(0n)), attribute(2, n64(0n))]) },
        verdict(NF_DROP),
      ],
      userdata: userdata(0, text('not its own MAC')),
    },
    {
      table: 'guard',
      chain: 'in',
      handle: 4n,
      position: 3n,
      expressions: [
        // limit rate 10/second burst 20 packets
        {
          name: 'limit',
          data: concat([attribute(1, n64(10n)), attribute(2, n64(1n)), numbers([3, 20], [4, 0], [5, 0])]),
        },
        // log prefix "vm0: " level warn
        { name: 'log', data: concat([attribute(2, text('vm0: ')), numbers([5, 4])]) },
      ],
    },
    {
      table: 'guard',
      chain: 'in',
      handle: 5n,
      position: 4n,
      // ip saddr 192.168.0.0/16 quota over 1 mbytes goto lan
      expressions: [
        ...isIp,
        payload(NETWORK, 12, 2),
        cmp(EQUAL, hex('c0a8')),
        {
          name: 'quota',
          data: concat([attribute(1, n64(1048576n)), attribute(4, n64(0n)), numbers([2, 1])]),
        },
        verdict(NFT_GOTO, 'lan'),
      ],
    },
    {
      table: 'guard',
      chain: 'in',
      handle: 7n,
      position: 5n,
      // ip daddr { 192.168.2.1, 192.168.2.53 } accept
      expressions: [
        ...isIp,
        payload(NETWORK, 16, 4),
        {
          name: 'lookup',
          data: concat([attribute(1, text('__set0')), numbers([2, NFT_REG_1], [5, 0])]),
        },
        verdict(NF_ACCEPT),
      ],
    },
    // The one expression here that has no data.
    { table: 'guard', chain: 'in', handle: 8n, position: 7n, expressions: [{ name: 'notrack' }] },
  ]);
});

test('rules as nft sends them', () => {
  const rules = parseGolden('sent/rule', NEWRULE, ruleSchema);
  assert.deepEqual(
    rules.map(({ expressions }) => expressions?.map(({ name }) => name)),
    [
      ['meta', 'cmp', 'payload', 'cmp', 'counter', 'immediate'],
      ['limit', 'log'],
      ['meta', 'cmp', 'payload', 'cmp', 'quota', 'immediate'],
      ['meta', 'cmp', 'payload', 'lookup', 'immediate'],
      ['notrack'],
    ],
  );
  const [first] = rules;
  assert.deepEqual(first?.userdata, userdata(0, text('not its own MAC')));
  assert.deepEqual(Object.keys(first ?? {}).sort(), ['chain', 'expressions', 'table', 'userdata']);
});

test('an expression without a name is refused', () => {
  assert.throws(() => expressionSchema.parse(attribute(2, n32(0))), {
    code: 'MALFORMED_MESSAGE',
    message: 'malformed expression: no name',
  });
});

test('what stands between the expressions of a rule is refused', () => {
  const rule = concat([
    attribute(1, text('guard')),
    attribute(2, text('in')),
    attribute(4, attribute(2, attribute(1, text('notrack')))),
  ]);
  assert.throws(() => ruleSchema.parse(rule), {
    code: 'MALFORMED_MESSAGE',
    message: 'attribute 2 in a list of 1',
  });
});
