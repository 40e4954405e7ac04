import { Command } from 'commander';
import { type AskOptions, addAskOptions, askAgent, noAgent } from './ask.js';
import { EXIT, print, printJson } from './output.js';

export function reloadCommand(exit: (status: number) => void): Command {
  const command = new Command('reload')
    .description('let the agent that runs read its configuration again, and wait until it is in force')
    .addHelpText(
      'after',
      `
A configuration with an error is not used: the old one stays in force, and what is wrong is told here.

Examples:
  $ tapwall reload
  $ tapwall check /etc/tapwall/tapwall.yaml && tapwall reload`,
    );
  return addAskOptions(command).action(async (options: AskOptions) => {
    const { file } = await askAgent(options, (client) => client.reload(), noAgent);
    if (options.json) printJson({ event: 'reloaded', file });
    else print(`reloaded ${file}`);
    exit(EXIT.success);
  });
}
