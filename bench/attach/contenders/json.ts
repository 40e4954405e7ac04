import { GATEWAY } from '#src/demo/scenario.js';

/** The policy of the file in libnftables' JSON (libnftables-json(5)), and what removes it. */
export function policyAsJson(name: string, device: string): { attach: string; detach: string } {
  const table = { family: 'netdev', name };
  const commands: unknown[] = [{ add: { table } }, { delete: { table } }, { add: { table } }];
  for (const [chain, hook, field] of [
    ['filterin', 'ingress', 'saddr'],
    ['filterout', 'egress', 'daddr'],
  ] as const) {
    const place = { family: 'netdev', table: name };
    const base = { type: 'filter', hook, dev: device, prio: 0, policy: 'accept' };
    commands.push({ add: { chain: { ...place, name: chain, ...base } } });
    const rule = (right: unknown, verdict: 'accept' | 'drop') => {
      const left = { payload: { protocol: 'ip', field } };
      const expr = [{ match: { op: '==', left, right } }, { [verdict]: null }];
      commands.push({ add: { rule: { ...place, chain, expr } } });
    };
    rule(GATEWAY, 'accept');
    rule({ prefix: { addr: '192.168.0.0', len: 16 } }, 'drop');
  }
  return {
    attach: JSON.stringify({ nftables: commands }),
    detach: JSON.stringify({ nftables: [{ delete: { table } }] }),
  };
}
