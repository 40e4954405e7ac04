import { spawn, spawnSync } from 'node:child_process';
import { constants, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import type { AttachContender } from './contender.js';
import { timed } from './contender.js';

/** No command of nft's: the parser refuses it at once, and says so on standard error when all before it is done. */
const END = 'tapwall_end';

/**
 * nft that stays, and reads commands from a pipe. It says nothing when a command is done, so each is followed by a
 * word that nft complains about. Both pipes have names, so that they can be read without an event loop in between.
 */
class InteractiveNft {
  readonly #input: number;
  readonly #errors: number;
  readonly #buffer = Buffer.alloc(64 * 1024);

  constructor(pipes: string) {
    const [input, errors] = [`${pipes}.in`, `${pipes}.err`];
    const { status } = spawnSync('mkfifo', [input, errors]);
    if (status !== 0) throw new Error('mkfifo has failed');
    // For both ends: neither waits for the other to be opened.
    this.#input = openSync(input, constants.O_RDWR);
    this.#errors = openSync(errors, constants.O_RDWR);
    const child = spawn('nft', ['-i'], {
      stdio: [this.#input, 'ignore', this.#errors],
    });
    // It would wait for ever for the end of a pipe that it has open itself.
    process.on('exit', () => child.kill());
    child.unref();
  }

  run(command: string): void {
    writeSync(this.#input, `${command}\n${END}\n`);
    let said = '';
    // The line, and below it the place in it.
    while (!/\^+\n$/.test(said) || !said.includes(END)) {
      const length = readSync(this.#errors, this.#buffer);
      said += this.#buffer.toString('latin1', 0, length);
    }
    const complaint = said.slice(0, said.indexOf(END)).split('\n').slice(0, -2).join(' ');
    if (complaint.includes('Error')) throw new Error(complaint);
  }
}

export const interactive: AttachContender = {
  name: 'nft-interactive',
  title: 'nft -i, kept running on a pipe',
  startsNft: true,
  file: 'whole',
  prepare: (_namespacePath, { probe, policyFile, table }) => {
    const nft = new InteractiveNft(policyFile);
    // It takes no variables, and one that the text defines is defined for good.
    const literal = `${policyFile}.literal`;
    writeFileSync(literal, readFileSync(policyFile, 'utf8').replaceAll('$intf', probe.name));
    return {
      attach: () => timed(() => nft.run(`include "${literal}"`)),
      detach: () => timed(() => nft.run(`delete table netdev ${table}`)),
    };
  },
};
