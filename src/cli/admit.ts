import { Command, InvalidArgumentError } from 'commander';
import { Agent } from '../agent/agent.js';
import type { DeviceAnswer } from '../agent/request.js';
import { loadConfiguration } from '../config/load.js';
import { DEFAULT_NAMESPACES, isOwnAlone } from '../config/namespace.js';
import type { AdmitRequest } from '../control/client.js';
import { admitThrough } from '../control/desk.js';
import { DEFAULT_WAIT_MS, MOST_WAIT_MS, parseAdmitRequest } from '../control/protocol.js';
import { type AskOptions, addAskOptions, askAgent, noAgent } from './ask.js';
import { inNamespace } from './options.js';
import { EXIT, print, printJson } from './output.js';
import { inNamespaceWords } from './quarantine.js';

interface Options extends AskOptions {
  config?: string;
  guest?: string;
  uuid?: string;
  mac?: string;
  policy?: string;
  address?: string[];
  wait: number;
}

export function admitCommand(exit: (status: number) => void): Command {
  const command = new Command('admit')
    .description(
      'end the quarantine of a device, tell what is known of its VM, and wait until it is filtered',
    )
    .argument('<device>', 'a macvtap device; it may be one that is still to come')
    .option('--guest <name>', "the VM's name, for bindings")
    .option('--uuid <uuid>', "the VM's UUID, for bindings")
    .option('--mac <address>', 'the MAC it was assigned, for guards')
    .option('--policy <name>', 'a policy of the configuration, whatever the bindings say')
    .option('--address <address>', 'an address or a prefix of the VM; may be repeated', collect)
    .option('--wait <ms>', 'how long to wait for the device', parseWait, DEFAULT_WAIT_MS)
    .option('-c, --config <file>', 'without an agent: attach by this configuration, as an agent would')
    .addHelpText(
      'after',
      `
What is told replaces what was told of the device before, and is kept as long as the device is there, over
restarts of the agent. It ends with 0 when the device is filtered, else with 8. Without an agent, and with
--config, one is started for as long as it takes; all devices are brought in line then.

Examples:
  $ tapwall admit macvtap0
  $ tapwall admit macvtap0 --guest web-1 --policy web --address 192.0.2.7`,
    );
  return addAskOptions(command).action(async (device: string, options: Options) => {
    const request = requestFor(device, options);
    const { filtered, devices } = await askAgent(
      options,
      (client) => client.admit(request),
      () => withoutAgent(request, options),
    );
    for (const one of devices) {
      if (options.json) printJson({ event: 'admitted', ...one });
      else print(words(one));
    }
    exit(filtered ? EXIT.success : EXIT.notFiltered);
  });
}

function requestFor(device: string, { guest, uuid, mac, policy, address, wait }: Options): AdmitRequest {
  return {
    ...((guest !== undefined || uuid !== undefined) && { guest: { name: guest, uuid } }),
    devices: [{ name: device, assignedMac: mac, policy, addresses: address }],
    waitMs: wait,
    lift: true,
  };
}

/** An agent for as long as it takes: it stops, and what filters stays. */
function withoutAgent(request: AdmitRequest, { config, namespace }: Options) {
  if (config === undefined) return noAgent();
  // What is wrong with it is told before anything is done.
  parseAdmitRequest(request);
  return inNamespace(namespace, async (_kernel, handle) => {
    const configuration = loadConfiguration(config);
    // Where the device is and nowhere else, but by the name that bindings have for it.
    const isNamed = namespace !== undefined && !isOwnAlone(configuration.namespaces);
    const namespaces = isNamed ? [namespace] : DEFAULT_NAMESPACES;
    const options = handle && !isNamed ? { namespace: handle } : {};
    const agent = await Agent.start({ ...configuration, namespaces }, options);
    try {
      const [served] = agent.namespaces;
      const parsed = parseAdmitRequest({ ...request, namespace: isNamed ? served?.name : undefined });
      return await admitThrough(agent, parsed, new AbortController().signal);
    } finally {
      await agent.stop();
    }
  });
}

function words(answer: DeviceAnswer): string {
  const { device, index, state, policy, reason } = answer;
  const where = index === undefined ? device : `${device} (index ${index}${inNamespaceWords(answer)})`;
  const why = reason ? `: ${reason.message}` : '';
  return policy !== undefined && state === 'attached'
    ? `${where} is filtered by policy ${policy}`
    : `${where} is not filtered, ${state}${why}`;
}

function collect(text: string, known: string[] = []): string[] {
  return [...known, text];
}

function parseWait(text: string): number {
  const wait = Number(text);
  if (!/^\d+$/.test(text) || wait > MOST_WAIT_MS) {
    throw new InvalidArgumentError(`It must be milliseconds, at most ${MOST_WAIT_MS}.`);
  }
  return wait;
}
