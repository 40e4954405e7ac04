/** What a fake kernel holds of tapwall's, as tests compare it; and what must be so whatever happens. */
import assert from 'node:assert/strict';
import type { Plan } from '#src/agent/plan.js';
import type { FakeKernel, FakeTable } from '#src/kernel/fake.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import type { Link } from '#src/links/link.js';
import { parseAttributes, readText } from '#src/netlink/attribute.js';
import { HOST_LITTLE_ENDIAN, viewOf } from '#src/netlink/bytes.js';
import { hookDevices } from '#src/nftables/chain.js';
import { NF_DROP } from '#src/nftables/constants.js';
import type { SetElement } from '#src/nftables/element.js';
import { SHARED_TABLE } from '#src/program/blueprint.js';
import { HELD_SET } from '#src/program/held.js';
import { isMoreChain } from '#src/program/hook.js';
import { parseDeviceTableName } from '#src/program/name.js';
import { type AttachmentRecord, parseRecord } from '#src/program/record.js';
import { COUNTERS } from './shared-plan.js';

export function sharedTable(kernel: FakeKernel, namespace?: NamespaceHandle): FakeTable | undefined {
  return kernel.tables(namespace).find(({ name }) => name === SHARED_TABLE);
}

function setOf(table: FakeTable | undefined, name: string): SetElement[] {
  return table?.sets.find((set) => set.name === name)?.elements ?? [];
}

/** The first four bytes of an element's key or data. */
export function numberIn(data: Uint8Array | undefined): number {
  const value = data && parseAttributes(data)[0]?.value;
  assert.ok(value);
  return viewOf(value).getUint32(0, HOST_LITTLE_ENDIAN);
}

function chainIn(data: Uint8Array | undefined): string {
  const verdict = parseAttributes(data ?? new Uint8Array())[0];
  const chain = verdict && parseAttributes(verdict.value)[1];
  assert.ok(chain);
  return readText(chain);
}

/** The policies by their marks, as both maps have them. */
function policiesIn(table: FakeTable | undefined): Map<number, string> {
  const [ingress, egress] = ['ingress', 'egress'].map(
    (word) =>
      new Map(
        setOf(table, `policy.${word}`).map(({ key, data }) => [
          numberIn(key),
          chainIn(data)
            .replace(/^policy\./, '')
            .replace(new RegExp(`\\.${word}$`), ''),
        ]),
      ),
  );
  assert.ok(ingress);
  assert.deepEqual(ingress, egress);
  return ingress;
}

/** The indexes in the keys of each set of devices' own elements. */
export function indexesBySet(kernel: FakeKernel, namespace?: NamespaceHandle): Map<string, number[]> {
  const sets = sharedTable(kernel, namespace)?.sets ?? [];
  return new Map(
    sets
      .filter(({ name }) => !/^policy\.|^__/.test(name))
      .map(({ name, elements }) => [name, elements.map(({ key }) => numberIn(key)).sort((a, b) => a - b)]),
  );
}

interface OwnTable {
  name: string;
  record: AttachmentRecord;
  hooks: string;
}

/** The tables that devices have for themselves, by index. */
function ownTables(tables: readonly FakeTable[]): Map<number, OwnTable[]> {
  const found = new Map<number, OwnTable[]>();
  for (const { name, userdata, chains } of tables) {
    const index = parseDeviceTableName(name)?.index;
    const record = parseRecord(userdata);
    if (index === undefined || !record) continue;
    const devices = chains.flatMap(({ hook }) => (hook ? hookDevices(hook) : []));
    const names = new Set(devices.map((device) => ('name' in device ? device.name : `${device.prefix}*`)));
    found.set(index, [...(found.get(index) ?? []), { name, record, hooks: [...names].join() }]);
  }
  return found;
}

/**
 * One line for each device that is admitted or has tables of its own, by index: `2 guard macvtap0`. The name is that
 * which its own tables hook, and where it has none the one it has. A device that is admitted to be filtered by tables
 * that a hand made is `2 by-hand/POLICY`; one with tables that nothing admits `2 -/POLICY`. Tables of others stand at
 * the end, by their names.
 */
export function installed(kernel: FakeKernel, namespace?: NamespaceHandle): string[] {
  const tables = kernel.tables(namespace);
  const shared = tables.find(({ name }) => name === SHARED_TABLE);
  const policies = policiesIn(shared);
  const admitted = new Map(
    setOf(shared, 'device.policy').map(({ key, data }) => [numberIn(key), policies.get(numberIn(data))]),
  );
  const own = ownTables(tables);
  const names = new Map(kernel.links(namespace).map(({ index, name }) => [index, name]));
  const indexes = [...new Set([...admitted.keys(), ...own.keys()])].sort((a, b) => a - b);
  const lines = indexes.map((index) => {
    const policy = admitted.get(index) ?? '-';
    const [first, ...more] = own.get(index) ?? [];
    for (const one of more) assert.deepEqual([one.record, one.hooks], [first?.record, first?.hooks]);
    if (!first) return `${index} ${policy} ${names.get(index)}`;
    const filter = first.record.policy === policy ? policy : `${policy}/${first.record.policy}`;
    return `${index} ${filter} ${first.hooks}`;
  });
  const mine = new Set([...own.values()].flat().map(({ name }) => name));
  const others = tables.filter(({ name }) => name !== SHARED_TABLE && !mine.has(name));
  return [...lines, ...others.map(({ name }) => name).sort()];
}

/** The base chains of the shared table that stand in the way of a link, by direction. */
function doorsOf({ name }: Link, table: FakeTable | undefined): number[] {
  const directions: number[] = [];
  for (const { hook } of table?.chains ?? []) {
    for (const device of hook ? hookDevices(hook) : []) {
      const stands = 'name' in device ? device.name === name : name.startsWith(device.prefix);
      if (hook && stands) directions.push(hook.number);
    }
  }
  return directions.sort();
}

/**
 * What must be so whatever happened, once the loop has read its events: every device of the prefixes is behind the door
 * once in each direction, what is gone has left nothing, and nothing of the shared table is about any other link.
 */
export function checkDoor(kernel: FakeKernel, plan: Plan, namespace?: NamespaceHandle): void {
  const table = sharedTable(kernel, namespace);
  assert.ok(table, 'there is no door');
  const links = kernel.links(namespace);
  const covered = links.filter(
    ({ kind, name }) => kind === 'macvtap' && plan.prefixes.some((prefix) => name.startsWith(prefix)),
  );
  for (const link of covered) assert.deepEqual(doorsOf(link, table), [0, 1], `the door of ${link.name}`);
  const present = new Set(links.map(({ index }) => index));
  for (const [set, indexes] of indexesBySet(kernel, namespace)) {
    // The sets of the configuration hold no indexes.
    if (!set.includes('.') || set === HELD_SET) continue;
    const gone = indexes.filter((index) => !present.has(index));
    assert.deepEqual(gone, [], `elements in ${set}`);
    // What a device has been counted for stays while it is there.
    if (COUNTERS.includes(set)) continue;
    const own: Set<number> = new Set(setOf(table, 'device.policy').map(({ key }) => numberIn(key)));
    assert.deepEqual(
      indexes.filter((index) => !own.has(index)),
      [],
      `elements in ${set} of devices that nothing admits`,
    );
  }
  for (const index of ownTables(kernel.tables(namespace)).keys()) {
    assert.ok(present.has(index), `a table of ${index}, which is gone`);
  }
  checkHooks(table, plan, covered);
}

/** Hooks of single devices stand on devices that are there, and chains of single devices are theirs. */
function checkHooks(table: FakeTable, { placement, names }: Plan, covered: readonly Link[]): void {
  const needed = covered.filter(({ name }) => placement !== 'names' || !names.has(name));
  const byName = new Set(needed.map(({ name }) => name));
  for (const { name = '', hook, policy, rules } of table.chains) {
    if (!hook) continue;
    assert.deepEqual([policy, rules.length], [NF_DROP, 1], `the chain ${name} leads to the door`);
    if (isMoreChain(name)) {
      assert.ok(hookDevices(hook).length > 0, `the chain ${name} has no device`);
      for (const device of hookDevices(hook)) {
        assert.ok('name' in device && byName.has(device.name), `a hook on ${JSON.stringify(device)}`);
      }
    }
    const [, index] = /\.device\.(\d+)$/.exec(name) ?? [];
    if (index === undefined) continue;
    const link = covered.find((one) => one.index === Number(index));
    assert.ok(link, `the chain ${name} of a device that is gone`);
    assert.deepEqual(hookDevices(hook), [{ name: link.name }]);
  }
}
