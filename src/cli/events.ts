import { Command, InvalidArgumentError } from 'commander';
import type { AgentEvent } from '../agent/event.js';
import { MOST_RECENT } from '../control/protocol.js';
import { humanLog } from '../observe/human-log.js';
import { logEvent } from '../observe/log.js';
import { type AskOptions, addAskOptions, askAgent, noAgent } from './ask.js';
import { EXIT, printJson } from './output.js';

interface Options extends AskOptions {
  follow?: boolean;
  recent: number;
}

export function eventsCommand(exit: (status: number) => void): Command {
  const command = new Command('events')
    .description('tell what an agent did, and with --follow what it does from now on')
    .option('-f, --follow', 'go on until interrupted')
    .option(
      '-r, --recent <count>',
      `how many of the last events come first (at most ${MOST_RECENT})`,
      parseCount,
      20,
    )
    .addHelpText(
      'after',
      `
They are those of tapwall run; its help names them. Who reads too slowly is dropped, with the error TOO_SLOW.

Examples:
  $ tapwall events --follow
  $ tapwall events --follow --recent 0 --json | jq -r 'select(.event == "failed").device'`,
    );
  return addAskOptions(command).action(async (options: Options) => {
    const { recent, follow, json = false } = options;
    const tell = teller(json);
    await askAgent(
      options,
      async (client) => {
        if (!follow) {
          for (const event of await client.recentEvents(recent)) tell(event);
          return;
        }
        const interrupted = new AbortController();
        const stop = () => interrupted.abort();
        process.once('SIGINT', stop).once('SIGTERM', stop);
        // A reader that goes away (`| head`) is the end of it.
        process.stdout.once('close', stop);
        for await (const event of await client.follow({ recent, signal: interrupted.signal })) tell(event);
      },
      noAgent,
    );
    exit(EXIT.success);
  });
}

function teller(json: boolean): (event: AgentEvent) => void {
  if (json) return printJson;
  const log = humanLog('stdout');
  return (event) => logEvent(log, event);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > MOST_RECENT) {
    throw new InvalidArgumentError(`It must be a whole number from 0 to ${MOST_RECENT}.`);
  }
  return count;
}
