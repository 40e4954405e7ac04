import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Hand } from '#src/agent/manual.js';
import { Compiler } from '#src/compiler/compiler.js';
import { Lab } from '#src/demo/lab.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { encodeBatch } from '#src/nftables/batch.js';
import { NFT_MSG_DELTABLE } from '#src/nftables/constants.js';
import { nftablesRequest } from '#src/nftables/message.js';
import { deviceTableName } from '#src/program/name.js';
import { kernel, runIn } from '../support/host.js';
import { kernelState } from '../support/kernel-state.js';

/** The corpus stays in the source tree; this file is compiled into another folder. */
const CORPUS = fileURLToPath(new URL('../../test/corpus', import.meta.url));
const DEVICE = { name: 'macvtap0', mac: '52:54:00:00:00:01', index: 0x0a0b0c0d, up: false };

/** One device on each of two hosts: nft filters the one, tapwall the other. */
class Pair {
  readonly byNft = new Lab(kernel);
  readonly byTapwall = new Lab(kernel);
  readonly compiler = new Compiler();
  readonly hand: Hand;
  readonly nftSocket: NetlinkSocket;
  readonly tapwallSocket: NetlinkSocket;
  readonly folder = mkdtempSync(join(tmpdir(), 'tapwall-corpus-'));

  constructor() {
    this.byNft.addMacvtap(DEVICE);
    this.byTapwall.addMacvtap(DEVICE);
    this.hand = new Hand(kernel, this.byTapwall.host.namespace);
    const open = (lab: Lab) =>
      kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: lab.host.namespace });
    this.nftSocket = open(this.byNft);
    this.tapwallSocket = open(this.byTapwall);
  }

  async compare(text: string): Promise<void> {
    const file = join(this.folder, 'entry.nft');
    writeFileSync(file, text);
    const nft = ['nft', '-I', '.', '-D', `intf=${DEVICE.name}`, '-f', file];
    const { status, stderr } = runIn(this.byNft.host.namespace, nft, CORPUS);
    assert.equal(status, 0, `nft refuses the entry: ${stderr}`);
    try {
      const source = { name: 'entry', file, text, directory: CORPUS, variables: {} };
      const { program } = await this.compiler.compile(source);
      this.hand.attach(this.hand.findDevice(DEVICE.name), program);
      const given = new Map(program.tables.map((table) => [deviceTableName(DEVICE.index, table), table]));
      const expected = kernelState(this.nftSocket, { nameOf: (name) => name, withoutComment: false });
      const commented = expected.some((line) => /^0 family .* 6=/.test(line));
      const actual = kernelState(this.tapwallSocket, {
        nameOf: (name) => given.get(name) ?? `not of tapwall: ${name}`,
        withoutComment: !commented,
        withoutPassed: true,
      });
      assert.deepEqual(actual, expected);
      assert.ok(
        expected.some((line) => line.startsWith('3 family 5')),
        'nft made no chain',
      );
    } finally {
      this.clear(this.nftSocket);
      this.clear(this.tapwallSocket);
    }
  }

  /** Deletes every table of the namespace: DELTABLE without a name. */
  clear(socket: NetlinkSocket): void {
    const flush = [{ request: nftablesRequest(NFT_MSG_DELTABLE, 0, [], 0), label: 'DELTABLE' }];
    socket.commitWith(3, (sequence) => encodeBatch(flush, sequence));
  }

  close(): void {
    this.compiler.close();
    this.hand.close();
    this.nftSocket.close();
    this.tapwallSocket.close();
    this.byNft.close();
    this.byTapwall.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A table of its own for each hook: some rules name what may be there only once. */
function tableText(hook: string, rule: string): string {
  const spec = `type filter hook ${hook} device $intf priority 0; policy accept;`;
  return `table netdev ${hook} {\n  chain c {\n    ${spec}\n    ${rule}\n  }\n}\n`;
}

const rules = readFileSync(join(CORPUS, 'rules.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

describe('what nft puts into the kernel, tapwall puts there too', () => {
  let pair: Pair;
  before(() => {
    pair = new Pair();
  });
  after(() => pair.close());

  describe('rules', () => {
    assert.ok(rules.length >= 1000, `the corpus has shrunk to ${rules.length} rules`);
    for (const line of rules) {
      it(line, async () => {
        const [where = '', ...rest] = line.split(' | ');
        const hooks = where === 'both' ? ['ingress', 'egress'] : [where];
        await pair.compare(hooks.map((hook) => tableText(hook, rest.join(' | '))).join(''));
      });
    }
  });

  describe('files', () => {
    const files = readdirSync(join(CORPUS, 'files'));
    assert.ok(files.length >= 100, `the corpus has shrunk to ${files.length} files`);
    for (const file of files) {
      it(file, () => pair.compare(readFileSync(join(CORPUS, 'files', file), 'utf8')));
    }
  });
});

/** The codes that each class of refused files may end in. */
const CODES: Record<string, string[]> = {
  family: ['POLICY_NOT_PORTABLE'],
  device: ['POLICY_NOT_PORTABLE'],
  'no-hook': ['POLICY_NOT_PORTABLE'],
  flowtable: ['POLICY_NOT_PORTABLE', 'POLICY'],
  syntax: ['POLICY'],
  kernel: ['POLICY'],
  include: ['POLICY'],
  'hang-or-crash': ['COMPILER_CRASHED', 'COMPILER_TIMEOUT', 'POLICY'],
};

describe('what cannot be carried over is refused, and the compiler goes on', () => {
  const compiler = new Compiler({ timeLimitMs: 3_000 });
  after(() => compiler.close());
  const files = readdirSync(join(CORPUS, 'refused')).filter((name) => name.endsWith('.nft'));
  assert.ok(files.length >= 80, `the corpus has shrunk to ${files.length} refused files`);
  for (const name of files) {
    const text = readFileSync(join(CORPUS, 'refused', name), 'utf8');
    const reason = /^# refused: (\S+)/.exec(text)?.[1] ?? '';
    it(`${name} (${reason})`, async () => {
      const codes = CODES[reason];
      assert.ok(codes, `unknown reason ${reason}`);
      const file = `refused/${name}`;
      const source = { name: 'refused', file, text, directory: CORPUS, variables: {} };
      await assert.rejects(compiler.compile(source), (error: Error & { code?: string }) => {
        assert.ok(codes.includes(error.code ?? ''), `${error.code}: ${error.message}`);
        assert.match(
          error.message,
          new RegExp(`${name.replaceAll('.', '\\.')}|include|rules`),
          error.message,
        );
        return true;
      });
    });
  }
});
