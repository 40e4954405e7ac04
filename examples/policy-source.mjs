// Policies that come from somewhere else than a file: here tenants, as JSON on standard input, one complete list a line.
// Yours may come from a database or a queue.
//
//   node examples/policy-source.mjs [--namespace NAME|PATH] < tenants.ndjson
//
//   [{ "tenant": "acme", "mac": "52:54:00:aa:bb:cc", "addresses": ["203.0.113.7"], "ports": [22, 443] }]
//
// When the input ends the agent stops, and the filters stay.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Agent, createConfiguration, linuxKernel, TapwallError } from 'tapwall';

const { values } = parseArgs({ options: { namespace: { type: 'string' } } });

/**
 * One policy for all tenants with the same ports: devices share what a policy has in the kernel, so a few policies for many
 * VMs are better than one for each.
 */
function configurationOf(tenants) {
  const policies = {};
  const bindings = [];
  for (const { mac, addresses, ports } of tenants) {
    // From outside: nothing of it may become nft text unseen.
    const allowed = [...new Set(ports.map(portNumber))].sort((left, right) => left - right);
    const policy = allowed.length === 0 ? 'closed' : `ports-${allowed.join('-')}`.slice(0, 63);
    policies[policy] = {
      variables: allowed.length === 0 ? {} : { ports: `{ ${allowed.join(', ')} }` },
      ingress: allowed.length === 0 ? '' : 'ether type arp accept\ntcp dport $ports accept\n',
      egress: 'ether type arp accept\ntcp flags & (syn | ack) != syn accept\n',
      default: 'drop',
      guards: ['mac', 'ip', 'arp', 'ethertype', 'fragment', 'dhcp-server'],
    };
    // tapwall itself checks addresses and MACs, and refuses the whole list over a wrong one.
    bindings.push({ mac, addresses, policy });
  }
  return createConfiguration({ policies, bindings }, 'tenants');
}

function portNumber(port) {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new TapwallError('CONFIG', `${JSON.stringify(port)} is no port`);
}

const namespace = values.namespace === undefined ? undefined : linuxKernel().openNamespace(values.namespace);
// Nobody is a tenant yet: every device is closed from the start.
const agent = await Agent.start(configurationOf([]), namespace ? { namespace } : {});
agent.on('attached', ({ device, policy }) => console.log(`${device}: ${policy}`));
agent.on('unmatched', ({ device }) => console.log(`${device}: closed, it belongs to no tenant`));
console.log('ready');

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const tenants = JSON.parse(line);
    await agent.apply(configurationOf(tenants));
    console.log(`in force: ${tenants.length} tenants`);
  } catch (error) {
    // The list before stays in force, whole.
    console.log(`refused: ${error instanceof TapwallError ? error.code : 'CONFIG'}: ${error.message}`);
  }
}
await agent.stop();
namespace?.close();
