import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpRuleset } from '#src/compiler/scratch.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { hookDevices } from '#src/nftables/chain.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { attachBatch, attachLength, detachBatch, detachLength } from '#src/program/attach.js';
import { parseRecord } from '#src/program/record.js';
import { Host } from '../links/host.js';
import { device } from './facts.js';
import { policyProgram } from './policy.js';

const INTERVAL_END = 1;

/** An action on the nf_tables of a host with one device and the link up0. */
function onHost(
  name: string,
  index: number,
  action: (host: Host, socket: ReturnType<typeof openNetfilter>) => void,
) {
  const host = new Host();
  const netfilter = openNetfilter(host);
  try {
    host.add({ name, kind: 'veth', index, peer: { name: 'peer0' } });
    host.add({ name: 'up0', kind: 'veth', index: 9, peer: { name: 'peer1' } });
    action(host, netfilter);
  } finally {
    netfilter.close();
    host.close();
  }
}

function openNetfilter(host: Host) {
  return linuxKernel().openSocket({ protocol: NETLINK_NETFILTER, namespace: host.namespace });
}

const shapes: [name: string, index: number][] = [
  ['v', 8],
  ['macvtap0', 42],
  ['macvtap-0123456', 1_000_000],
  ['vm', 2 ** 31 - 1],
];

for (const [name, index] of shapes) {
  test(`the kernel takes a program for ${name}, index ${index}, and gives back what was meant`, () => {
    onHost(name, index, (_, netfilter) => {
      const program = policyProgram();
      const facts = device({ name, index, links: new Map([['up0', 9]]) });
      const attach = () =>
        netfilter.commitWith(attachLength(program, []), (first) => attachBatch(program, facts, first));
      attach();
      const ruleset = parseRuleset(dumpRuleset(netfilter));
      const record = {
        origin: 'agent',
        digest: program.digest,
        device: name,
        mac: facts.mac,
        policy: 'lan-guard',
      };
      assert.deepEqual(
        ruleset.tables.map((table) => [table.name, parseRecord(table.userdata)]),
        [
          [`tapwall.${index}.guard`, record],
          [`tapwall.${index}.extra`, record],
        ],
      );
      assert.deepEqual(
        ruleset.chains.map((chain) => [chain.name, chain.hook && hookDevices(chain.hook)]),
        [
          ['tapwall.passed.ingress', [{ name }]],
          ['tapwall.passed.egress', [{ name }]],
          ['lan', undefined],
          ['ingress', [{ name }]],
          ['egress', [{ name }]],
          ['late', [{ name }]],
        ],
      );
      assert.equal(ruleset.rules.length, 7);
      const around = ruleset.elements.find(({ set }) => set === 'around')?.elements ?? [];
      const bounds = around.map(({ key, flags = 0 }) => [Buffer.from(key ?? []).readUInt32BE(4), flags]);
      assert.deepEqual(
        bounds.sort(([a = 0], [b = 0]) => a - b),
        [
          [0, INTERVAL_END],
          [index, 0],
          [index + 1, INTERVAL_END],
        ],
      );

      // A second time it takes the place of the first.
      attach();
      assert.equal(parseRuleset(dumpRuleset(netfilter)).rules.length, 7);
      const tables = program.tables.map((table) => `tapwall.${index}.${table}`);
      for (let time = 0; time < 2; time++) {
        netfilter.commitWith(detachLength(tables), (first) => detachBatch(tables, first));
        assert.deepEqual(parseRuleset(dumpRuleset(netfilter)).tables, []);
      }
    });
  });
}

test('a refusal names the step that was refused, and nothing of the transaction is in force', () => {
  onHost('macvtap0', 42, (_, netfilter) => {
    const program = policyProgram();
    const chain = program.messages.find(({ label }) => label === 'NEWCHAIN late');
    const hook = chain?.attributes.find(({ type }) => type === 4);
    assert.ok(hook && 'nested' in hook);
    // A hook that no kernel has.
    hook.nested = hook.nested.map((one) =>
      one.type === 1 ? { ...one, value: new Uint8Array(4).fill(9) } : one,
    );
    assert.throws(
      () =>
        netfilter.commitWith(attachLength(program, []), (first) =>
          attachBatch(program, device({ links: new Map([['up0', 9]]) }), first),
        ),
      { name: 'KernelError', operation: 'NEWCHAIN late' },
    );
    assert.deepEqual(parseRuleset(dumpRuleset(netfilter)).tables, []);
  });
});
