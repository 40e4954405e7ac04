/** Large sets, from files, on a real kernel: what they drop, what nft says of them, and what is sent when they change. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readGeneration } from '#src/agent/generation.js';
import type { Lab } from '#src/demo/lab.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { PLACEMENTS, withAgent, withFiles } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { MAIN } from '../support/run.js';
import { fates, packet, until } from '../support/station.js';

const GUEST = { name: 'macvtap0', mac: '52:54:00:00:00:01' };

function yaml(more = '', set = 'type: ipv4_addr'): string {
  return `${more}
sets:
  blocked: { ${set}, file: lists/blocked.txt }
policies:
  guard: { guards: [ethertype], ingress: ip saddr @blocked drop, egress: ip daddr @blocked drop, default: accept }
bindings: [{ device: "*", policy: guard }]
`;
}

/** 10.0.0.0 and so many more. */
const addresses = (count: number) =>
  Array.from({ length: count }, (_, n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);

async function withList(
  list: readonly string[],
  text: string,
  action: (
    files: Record<string, string>,
    write: (folder: string, list: readonly string[]) => void,
  ) => Promise<void>,
): Promise<void> {
  const write = (folder: string, lines: readonly string[]) => {
    mkdirSync(join(folder, 'lists'), { recursive: true });
    writeFileSync(join(folder, 'lists/blocked.txt'), `# blocked\n${lines.join('\n')}\n`);
  };
  await withFiles({}, async (folder) => {
    write(folder, list);
    // An absolute path, since the agent's files are in a folder of their own.
    const files = { 'tapwall.yaml': text.replace('lists/', `${folder}/lists/`) };
    await action(files, (_, lines) => write(folder, lines));
  });
}

const nft = (lab: Lab, ...words: string[]) => runIn(lab.host.namespace, ['nft', ...words]);

/** Each transaction makes the next. */
function generationIn({ host }: Lab): number {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: host.namespace });
  try {
    return readGeneration(netfilter);
  } finally {
    netfilter.close();
  }
}

function setIn(lab: Lab): string[] {
  const { stdout, status, stderr } = nft(lab, 'list', 'set', 'netdev', 'tapwall', 'blocked');
  assert.equal(status, 0, stderr);
  const [, elements = ''] = /elements = \{([^}]*)\}/.exec(stdout) ?? [];
  return elements.split(',').map((element) => element.trim());
}

describe('a set of 100,000 addresses from a file', () => {
  for (const placement of PLACEMENTS)
    it(`drops what comes from one of them and goes to one, placement ${placement}`, async () => {
      await withLab(async (lab) => {
        const [guest, world] = [lab.addGuest(GUEST), lab.world()];
        const list = addresses(100_000);
        await withList(list, yaml(), async (files, write) => {
          await withAgent(
            lab,
            files,
            async ({ agent, folder, log }) => {
              const shots = () => [
                packet(world, guest, { source: '10.1.134.159' }),
                packet(guest, world, { destination: '10.0.0.0' }),
                packet(world, guest, { source: '10.1.134.160' }),
                packet(guest, world, { destination: '10.2.0.0' }),
              ];
              assert.deepEqual(await fates(shots()), [false, false, true, true]);
              write(folder, [...list.slice(1), '10.1.134.160']);
              await agent.reload(agent.configuration);
              assert.deepEqual(await fates(shots()), [false, true, false, true]);
              assert.deepEqual(log.of('failed'), []);
            },
            { placement },
          );
        });
      });
    });

  it('is listed by nft, which loads it again, and the next agent changes nothing', async () => {
    await withLab(async (lab) => {
      lab.addGuest(GUEST);
      const list = addresses(100_000);
      await withList(list, yaml('placement: names\nowner: false'), async (files) => {
        await withAgent(lab, files, async () => undefined);
        assert.deepEqual(setIn(lab).sort(), [...list].sort());
        const listed = nft(lab, 'list', 'set', 'netdev', 'tapwall', 'blocked').stdout;
        await withLab((other) =>
          withFiles({ 'listed.nft': listed }, (folder) => {
            const { status, stderr } = runIn(other.host.namespace, ['nft', '-f', join(folder, 'listed.nft')]);
            assert.equal(status, 0, stderr);
            assert.equal(nft(other, 'list', 'ruleset').stdout, listed);
          }),
        );
        const before = generationIn(lab);
        await withAgent(lab, files, async ({ log }) => {
          assert.ok(log.of('attached').every(({ kept }) => kept));
          assert.deepEqual(log.of('repaired'), []);
        });
        assert.equal(generationIn(lab), before);
      });
    });
  });

  it('is put right when others add an element, or take one away', async () => {
    await withLab(async (lab) => {
      const [guest, world] = [lab.addGuest(GUEST), lab.world()];
      await withList(addresses(100_000), yaml('owner: false\nreconcile: never'), async (files) => {
        await withAgent(
          lab,
          files,
          async ({ log }) => {
            const shots = () => [
              packet(world, guest, { source: '10.0.0.7' }),
              packet(world, guest, { source: '172.16.0.1' }),
            ];
            for (const [at, words] of [
              'delete element netdev tapwall blocked { 10.0.0.7 }',
              'add element netdev tapwall blocked { 172.16.0.1 }',
              'flush set netdev tapwall blocked',
              'flush set netdev tapwall sets.held',
            ].entries()) {
              assert.equal(nft(lab, words).status, 0, words);
              await until(`${words}: repaired`, () => log.of('repaired').length > at);
              assert.deepEqual(await fates(shots()), [false, true], words);
            }
          },
          { placement: 'names' },
        );
      });
    });
  });
});

describe('a set of prefixes and ranges from a file', () => {
  it('drops what is in them, and becomes what the file says', async () => {
    await withLab(async (lab) => {
      const [guest, world] = [lab.addGuest(GUEST), lab.world()];
      const list = ['10.0.0.0/8', '172.16.0.5-172.16.0.9', '198.51.100.1'];
      await withList(list, yaml(), async (files, write) => {
        await withAgent(
          lab,
          files,
          async ({ agent, folder }) => {
            const shots = () =>
              ['10.255.255.255', '172.16.0.9', '172.16.0.10', '198.51.100.1', '11.0.0.0'].map((source) =>
                packet(world, guest, { source }),
              );
            assert.deepEqual(await fates(shots()), [false, false, true, false, true]);
            assert.deepEqual(setIn(lab), list);
            write(folder, ['10.0.0.0/9', '172.16.0.5-172.16.0.10', '11.0.0.0/8']);
            await agent.reload(agent.configuration);
            assert.deepEqual(await fates(shots()), [true, false, false, true, false]);
          },
          { placement: 'names' },
        );
      });
    });
  });
});

describe('the file of a set', () => {
  const check = (folder: string) =>
    spawnSync(process.execPath, [MAIN, 'check', join(folder, 'tapwall.yaml'), '--json'], {
      encoding: 'utf8',
    });

  function problemsIn(folder: string): string[] {
    const { status, stdout, stderr } = check(folder);
    assert.equal(status, 3, stdout + stderr);
    const { code, problems = [] } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}');
    assert.equal(code, 'POLICY');
    return problems.map(
      ({
        location,
        message,
      }: {
        location: { file: string; line: number; column: number };
        message: string;
      }) =>
        `${location.file.replace(`${folder}/`, '')}:${location.line}:${location.column} ${message.replaceAll(`${folder}/`, '')}`,
    );
  }

  it('is refused with the line and column of each mistake', async () => {
    await withFiles({ 'tapwall.yaml': yaml() }, (folder) => {
      mkdirSync(join(folder, 'lists'));
      const file = join(folder, 'lists/blocked.txt');
      writeFileSync(file, '10.0.0.1\n  10.0.0.300\n\0\n');
      assert.deepEqual(problemsIn(folder), [
        'lists/blocked.txt:2:3 `10.0.0.300` is not an IPv4 address',
        'lists/blocked.txt:3:1 `\\u0000` is not one element: it has a `\\u0000`',
      ]);
      writeFileSync(file, '10.0.0.1\n10.0.0.0/24\n');
      assert.equal(check(folder).status, 0, check(folder).stdout);
      writeFileSync(join(folder, 'tapwall.yaml'), yaml('', 'type: ipv4_addr, flags: [dynamic]'));
      assert.deepEqual(problemsIn(folder), [
        'tapwall.yaml:3:3 the set blocked: lists/blocked.txt has prefixes or ranges, and no set can be both interval and dynamic',
      ]);
      writeFileSync(join(folder, 'tapwall.yaml'), yaml('', 'type: ipv4_addr, size: 1'));
      writeFileSync(file, '10.0.0.1\n10.0.0.2\n');
      assert.deepEqual(problemsIn(folder), [
        'tapwall.yaml:3:3 the set blocked: lists/blocked.txt has 2 elements, more than its size',
      ]);
    });
  });

  it('is an ordinary file that is not too large', async () => {
    await withFiles({ 'tapwall.yaml': yaml() }, (folder) => {
      const file = join(folder, 'lists/blocked.txt');
      const cannot = 'tapwall.yaml:3:3 the set blocked: cannot read the file lists/blocked.txt:';
      assert.deepEqual(problemsIn(folder), [`${cannot} there is no such file`]);
      mkdirSync(file, { recursive: true });
      assert.deepEqual(problemsIn(folder), [`${cannot} it is a folder`]);
      rmSync(file, { recursive: true });
      symlinkSync('blocked.txt', file);
      assert.deepEqual(problemsIn(folder), [`${cannot} its symbolic links lead in a circle`]);
      rmSync(file);
      assert.equal(spawnSync('mkfifo', [file]).status, 0);
      assert.deepEqual(problemsIn(folder), [`${cannot} it is no ordinary file`]);
      rmSync(file);
      writeFileSync(file, '');
      truncateSync(file, 128 * 1024 * 1024 + 1);
      assert.deepEqual(problemsIn(folder), [`${cannot} it is larger than 128 MiB`]);
    });
  });

  it('is not used while others can write it', async () => {
    await withLab((lab) =>
      withFiles({ 'tapwall.yaml': yaml() }, (folder) => {
        mkdirSync(join(folder, 'lists'));
        const file = join(folder, 'lists/blocked.txt');
        writeFileSync(file, '10.0.0.1\n');
        chmodSync(file, 0o666);
        const config = ['--config', join(folder, 'tapwall.yaml'), '--namespace', lab.namespacePath];
        const { status, stdout } = spawnSync(process.execPath, [MAIN, 'run', ...config, '--json'], {
          encoding: 'utf8',
        });
        assert.equal(status, 3, stdout);
        const error = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
        assert.equal(error.code, 'UNTRUSTED_FILE');
        assert.ok(error.message.includes(`${file} can be written by others (mode 0666)`), error.message);
        assert.equal(nft(lab, 'list', 'ruleset').stdout, '');
      }),
    );
  });
});
