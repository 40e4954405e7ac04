/** What is done to a host: by its administrator, by its VMM, by other programs. Each says in words what it did. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Placement } from '#src/config/configuration.js';
import { runIn } from '../support/host.js';
import { endpointOf, type Guest, isCovered, isHookedInAdvance, NAMES } from './guests.js';
import { MACS, MISTAKES, macOf, POLICIES } from './rules.js';
import type { Stage } from './stage.js';
import { SLOTS } from './traffic-board.js';

/** Undefined when there was nothing that it could be done to. */
export type Deed = (stage: Stage) => Promise<string | undefined>;

/** What no binding has. */
const strangeMac = ({ id }: Guest) => macOf(id).replace(':cc:', ':dd:');

function freeName({ chance, guests }: Stage, outside: boolean): string | undefined {
  const kind = outside ? 'outside' : chance.weighted({ listed: 5, unlisted: 2 });
  const taken = new Set(guests.all.map(({ name }) => name));
  const free = NAMES[kind].filter((name) => !taken.has(name));
  return free.length > 0 ? chance.of(free) : undefined;
}

function guestOf({ chance, guests }: Stage, suits: (guest: Guest) => boolean): Guest | undefined {
  const suitable = guests.all.filter(suits);
  return suitable.length > 0 ? chance.of(suitable) : undefined;
}

const isHere = (guest: Guest) => !guest.isElsewhere;
/** A guest that has the MAC it was first seen with, which it would lose with what the agent remembers of it. */
const isItself = (guest: Guest) =>
  isHere(guest) && guest.macId !== undefined && guest.mac === macOf(guest.macId);

async function create(
  stage: Stage,
  name: string | undefined = freeName(stage, false),
): Promise<string | undefined> {
  const { chance, guests } = stage;
  const slots = Array.from({ length: SLOTS }, (_, slot) => slot);
  const slot = slots.find((one) => !guests.all.some((guest) => guest.slot === one));
  const ids = Array.from({ length: MACS }, (_, id) => id).filter(
    (id) => !guests.all.some((guest) => guest.id === id),
  );
  if (slot === undefined || name === undefined || ids.length === 0) return undefined;
  const guest = guests.create(slot, chance.of(ids), name, stage.step);
  if (chance.oneIn(2)) guests.setUp(guest, true);
  stage.serve(guest);
  guests.setUp(guest, true);
  return `create ${name}, ${guest.mac}`;
}

async function remove(stage: Stage, guest: Guest): Promise<void> {
  // The descriptor is closed with it.
  await stage.traffic.leave(guest.slot);
  stage.guests.remove(guest);
}

async function rename(stage: Stage, guest: Guest, name: string): Promise<string> {
  const { guests, rules } = stage;
  const before = guest.name;
  const isOutside = NAMES.outside.some((one) => one === name);
  const isHooked = isHookedInAdvance(rules, name) && isHookedInAdvance(rules, before);
  if (isOutside) await stage.openWindow(guest, 'outside the prefixes');
  else if (guest.mayHaveTables) await stage.openWindow(guest, 'file policy of another name');
  else if (!isHooked) await stage.openWindow(guest, 'no hook in advance');
  else await stage.expectMore(guest);
  guests.rename(guest, name);
  stage.note(guest);
  stage.closeIfHooked(guest);
  return `rename ${before} to ${name}`;
}

export const DEVICE_DEEDS: Readonly<Record<string, Deed>> = {
  create: (stage) => create(stage),
  delete: async (stage) => {
    const guest = guestOf(stage, () => stage.guests.all.length > 1);
    if (!guest) return undefined;
    await remove(stage, guest);
    return `delete ${guest.name}`;
  },
  recreate: async (stage) => {
    const guest = guestOf(stage, isCovered);
    if (!guest) return undefined;
    await remove(stage, guest);
    const made = await create(stage, guest.name);
    return `delete ${guest.name}; ${made}`;
  },
  rename: async (stage) => {
    const guest = guestOf(stage, isHere);
    const name = freeName(stage, false);
    return guest && name !== undefined ? await rename(stage, guest, name) : undefined;
  },
  'rename away': async (stage) => {
    const guest = guestOf(stage, (one) => isCovered(one) && isItself(one));
    const name = freeName(stage, true);
    return guest && name !== undefined ? await rename(stage, guest, name) : undefined;
  },
  'rename back': async (stage) => {
    const guest = guestOf(stage, (one) => isHere(one) && !isCovered(one));
    const name = freeName(stage, false);
    return guest && name !== undefined ? await rename(stage, guest, name) : undefined;
  },
  move: async (stage) => {
    const guest = guestOf(stage, (one) => isCovered(one) && isItself(one));
    if (!guest || stage.guests.all.some(({ isElsewhere }) => isElsewhere)) return undefined;
    await stage.openWindow(guest, 'in another namespace');
    stage.guests.sendElsewhere(guest);
    return `move ${guest.name} away`;
  },
  'move back': async (stage) => {
    const guest = guestOf(stage, ({ isElsewhere }) => isElsewhere);
    if (!guest) return undefined;
    stage.guests.bringBack(guest);
    // Where its frames go by now says nothing of where they were sent.
    await stage.traffic.arrived();
    stage.closeIfHooked(guest);
    stage.guests.setUp(guest, true);
    return `move ${guest.name} back`;
  },
  mac: async (stage) => {
    const guest = guestOf(stage, (one) => isCovered(one) && one.born < stage.step && one.macId !== undefined);
    if (!guest || guest.macId === undefined) return undefined;
    stage.guests.setMac(guest, isItself(guest) ? strangeMac(guest) : macOf(guest.macId));
    stage.traffic.serve(endpointOf(guest));
    return `give ${guest.name} the MAC ${guest.mac}`;
  },
  alias: async (stage) => {
    const guest = guestOf(stage, isHere);
    if (!guest) return undefined;
    await stage.expectMore(guest);
    const alias = guest.alias === '' ? stage.chance.of(['lent to somebody', 'of no meaning']) : '';
    stage.guests.setAlias(guest, alias);
    stage.note(guest);
    return `give ${guest.name} the alias "${alias}"`;
  },
  bounce: async (stage) => {
    const guest = guestOf(stage, isHere);
    if (!guest) return undefined;
    stage.guests.setUp(guest, false);
    stage.guests.setUp(guest, true);
    return `set ${guest.name} down and up`;
  },
};
export const DEVICE_WEIGHTS: Readonly<Record<string, number>> = {
  create: 8,
  delete: 3,
  recreate: 3,
  rename: 4,
  'rename away': 1,
  'rename back': 2,
  move: 1,
  'move back': 2,
  mac: 2,
  alias: 2,
  bounce: 1,
};

/** Some of those that hook devices. */
function baseChains(placement: Placement, index: number): string[] {
  if (placement === 'prefix') return ['ingress', 'egress'];
  if (placement === 'names') return ['ingress.names.1', 'egress.names.0', 'egress.names.2'];
  if (placement === 'device') return ['ingress.more.0', 'egress.more.0'];
  return [`ingress.device.${index}`, `egress.device.${index}`];
}

/** What other programs do to nf_tables. */
function foreignCommand(stage: Stage): string {
  const { chance, guests } = stage;
  const covered = guests.all.filter(isCovered);
  const index = covered.length > 0 ? chance.of(covered).index : 77;
  const own = covered.find(({ lastPolicy }) => lastPolicy !== undefined && POLICIES[lastPolicy].file);
  const shared = [
    'flush ruleset',
    'delete table netdev tapwall',
    'flush chain netdev tapwall policy.lan.egress',
    'flush chain netdev tapwall ingress.door',
    'flush chain netdev tapwall ingress.admit',
    'insert rule netdev tapwall egress.door accept',
    'insert rule netdev tapwall policy.wide.ingress accept',
    'flush map netdev tapwall device.policy',
    'flush map netdev tapwall policy.egress',
    'flush set netdev tapwall mac.assigned',
    'add element netdev tapwall device.policy { 7777 : 2 }',
    'add element netdev tapwall egress.dropped.policy { 7777 }',
    `delete element netdev tapwall device.policy { ${index} }`,
    `add element netdev tapwall mac.assigned { ${index} . 02:00:00:00:00:99 }`,
    'add table netdev tapwall { flags dormant; }',
    'add chain netdev tapwall surplus',
    ...baseChains(stage.rules.placement, index).map(
      (chain) => `flush chain netdev tapwall ${chain}; delete chain netdev tapwall ${chain}`,
    ),
    'add chain netdev tapwall more; add rule netdev tapwall egress.door jump more',
    'add chain netdev tapwall many; add map netdev tapwall ways { type mark : verdict; elements = { 1 : jump many }; }; ' +
      'add rule netdev tapwall ingress.admit mark vmap @ways',
    'add set netdev tapwall odd { type ether_addr; }; add rule netdev tapwall egress.admit ether saddr @odd accept',
    'add set netdev tapwall surplus { type ipv4_addr; }',
  ];
  if (!own || chance.oneIn(2)) return chance.of(shared);
  const table = `tapwall.${own.index}.own`;
  return chance.of([
    `delete table netdev ${table}`,
    `flush chain netdev ${table} in`,
    `insert rule netdev ${table} out accept`,
    `add chain netdev ${table} more`,
    `delete chain netdev ${table} out`,
  ]);
}

export const foreignDeed: Deed = async (stage) => {
  const command = foreignCommand(stage);
  if (!stage.isOwned) {
    for (const guest of stage.guests.all) {
      if (isCovered(guest)) await stage.openWindow(guest, 'changed by others');
    }
    stage.isChanged = true;
  }
  const { status } = runIn(stage.lab.host.namespace, ['nft', command]);
  return `nft '${command}'${status === 0 ? '' : ' (refused)'}`;
};

/** One of several namespaces goes, with all that is in it, or comes again. */
export const namespaceDeed: Deed = async (own) => {
  const { agent, all, chance } = own;
  const [, ...others] = all;
  const stage = chance.of(others);
  const index = all.indexOf(stage);
  if (!stage.isServed) {
    const before = agent.count('namespace-ready');
    stage.comeBack();
    if (!chance.oneIn(3)) {
      // What is as it was left is in line before the agent has been there.
      await agent.until('namespace-ready', before);
      return `namespace ${index} comes`;
    }
    // It is looked for once a second.
    await sleep(chance.below(1_100));
    await agent.kill();
    own.startAgent();
    await agent.ready();
    return `namespace ${index} comes, and the agent is killed`;
  }
  const before = agent.count('namespace-gone');
  stage.goAway();
  await agent.until('namespace-gone', before);
  return `namespace ${index} goes`;
};

/** Other rules in the files; whoever calls has them read. */
export const changeRules: Deed = async (stage) => {
  const { placement, owner } = stage.rules;
  await stage.useRules(stage.pool.draw(stage.chance, placement, owner));
  return `other rules, revision ${stage.rules.revision}`;
};

export const CONFIGURATION_DEEDS: Readonly<Record<string, Deed>> = {
  reload: async (stage) => {
    if (!stage.chance.oneIn(4)) await changeRules(stage);
    const outcome = await stage.agent.reload();
    if (outcome !== 'reloaded') throw new Error('a good configuration was refused');
    stage.isReleased = false;
    return `reload, revision ${stage.rules.revision}`;
  },
  /** One that puts right what came of the one before, whatever that was. */
  'reload after': async (stage) => {
    await stage.agent.quiet();
    const outcome = await stage.agent.reload();
    if (outcome !== 'reloaded') throw new Error('a good configuration was refused');
    stage.isReleased = false;
    return 'reload';
  },
  mistake: async (stage) => {
    const mistake = stage.chance.of(MISTAKES);
    stage.agent.write({ 'tapwall.yaml': mistake });
    const outcome = await stage.agent.reload();
    stage.agent.write(stage.files());
    if (outcome !== 'reload-failed') throw new Error(`this was taken: ${mistake}`);
    return 'reload with a mistake';
  },
  release: async (stage) => {
    const before = stage.agent.count('released');
    stage.agent.signal('SIGUSR2');
    await stage.agent.until('released', before);
    stage.isReleased = true;
    return 'release';
  },
};
export const CONFIGURATION_WEIGHTS = { reload: 6, mistake: 3, release: 1 };

/** Spins for so many microseconds: a timer would wait for as many milliseconds. */
export function spin(microseconds: number): void {
  const end = process.hrtime.bigint() + BigInt(Math.round(microseconds * 1_000));
  while (process.hrtime.bigint() < end);
}
