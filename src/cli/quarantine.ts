import { Command } from 'commander';
import { Hand } from '../agent/manual.js';
import type { DeviceAnswer } from '../agent/request.js';
import { type AskOptions, addAskOptions, askAgent } from './ask.js';
import { inNamespace } from './options.js';
import { EXIT, print, printJson } from './output.js';

export function quarantineCommand(exit: (status: number) => void): Command {
  const command = new Command('quarantine')
    .description("close a VM's door now: everything to and from the device is dropped")
    .argument('<device>', 'a macvtap device')
    .addHelpText(
      'after',
      `
It stays closed whatever the configuration says, over reloads and restarts of the agent and of libvirtd, until
tapwall admit DEVICE. A device that is gone is forgotten: a VM that is started anew has another one. Without an
agent it is done by hand, where a door stands; the next agent keeps to it.

Examples:
  $ tapwall quarantine macvtap0
  $ tapwall quarantine macvtap0 --json`,
    );
  return addAskOptions(command).action(async (device: string, options: AskOptions) => {
    const { namespace } = options;
    const answer = await askAgent(
      options,
      (client) => client.quarantine({ name: device }),
      () => byHand(device, options),
    );
    if (options.json) printJson({ event: 'quarantined', ...answer });
    else
      print(
        `${answer.device} (index ${answer.index}${inNamespaceWords(answer)}): its door is closed; open it with ` +
          `tapwall admit ${answer.device}${namespace === undefined ? '' : ` --namespace ${namespace}`}`,
      );
    exit(EXIT.success);
  });
}

/** For a parenthesis, where the agent that was asked serves several. */
export function inNamespaceWords({ namespace }: DeviceAnswer): string {
  return namespace === undefined ? '' : `, network namespace ${namespace}`;
}

function byHand(device: string, { namespace }: AskOptions): Promise<DeviceAnswer> {
  return inNamespace(namespace, (kernel, handle) => {
    const hand = new Hand(kernel, handle);
    try {
      const { name, index } = hand.quarantine(device);
      return { device: name, index, state: 'quarantined', filtered: false, closed: true };
    } finally {
      hand.close();
    }
  });
}
