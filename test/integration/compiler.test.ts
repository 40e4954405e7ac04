import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Hand } from '#src/agent/manual.js';
import { Compiler, type PolicySource } from '#src/compiler/compiler.js';
import { CompilerProcess } from '#src/compiler/process.js';
import type { CompileRequest } from '#src/compiler/protocol.js';
import { SourceError } from '#src/error.js';
import { withFiles } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { packet, passes, until } from '../support/station.js';

const compiler = new Compiler({ timeLimitMs: 3_000 });
after(() => compiler.close());

function source(text: string, more: Partial<PolicySource> = {}): PolicySource {
  return { name: 'test', file: 'policy.nft', text, directory: undefined, variables: {}, ...more };
}

function chain(...rules: string[]): string {
  const spec = 'type filter hook ingress device $intf priority 0; policy accept;';
  return `table netdev t {\n  chain in {\n    ${spec}\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n}\n`;
}

async function problemsOf(policy: PolicySource) {
  try {
    await compiler.compile(policy);
  } catch (error) {
    assert.ok(error instanceof SourceError, String(error));
    return error.problems;
  }
  return assert.fail('it compiled');
}

describe('the compiler', () => {
  it('tells an error with file, line, column and the offending line', async () => {
    const [problem, ...more] = await problemsOf(
      source(chain('ip saddr 10.0.0.1 drop', 'ip saddr 10.0.0.1 dropp')),
    );
    assert.deepEqual(more, []);
    assert.deepEqual(problem?.location, { file: 'policy.nft', line: 5, column: 28 });
    assert.equal(problem?.sourceLine, '    ip saddr 10.0.0.1 dropp');
  });

  it('counts columns in characters, also behind some of several bytes', async () => {
    const [problem] = await problemsOf(source(chain('log prefix "größer" counter nonsense')));
    assert.equal(problem?.location?.line, 4);
    // What is unexpected is the end of the line; nft counts two bytes more before it than there are characters.
    assert.equal(problem?.location?.column, (problem?.sourceLine?.length ?? 0) + 1);
  });

  it('tells what the kernel itself refuses', async () => {
    const [problem] = await problemsOf(source(chain('limit rate 1023000 mbytes/second accept')));
    assert.match(problem?.message ?? '', /Value too large|Numerical result|Could not process rule/);
    assert.equal(problem?.location?.line, 4);
  });

  it('takes variables of the user, beside $intf', async () => {
    const policy = source(chain('ip saddr $gateway accept', 'iifname $intf drop'), {
      variables: { gateway: '192.0.2.1' },
    });
    const { program } = await compiler.compile(policy);
    assert.deepEqual(program.tables, ['t']);
    const [problem] = await problemsOf(
      source(chain('ip saddr $gatewax accept'), { variables: { gateway: '192.0.2.1' } }),
    );
    assert.match(problem?.message ?? '', /unknown identifier 'gatewax'/);
    const injected = { gateway: '1.2.3.4; include "/etc/hostname"' };
    await assert.rejects(compiler.compile(source(chain('accept'), { variables: injected })), {
      code: 'ARGUMENT',
      message: /the value of the variable gateway: it has/,
    });
  });

  it('reports a crash of libnftables and goes on', async () => {
    await assert.rejects(compiler.compile(source(chain('tcp dport set 1-3'))), {
      code: 'COMPILER_CRASHED',
      message: /policy\.nft: libnftables died of SIG(ABRT|SEGV)/,
    });
    assert.equal((await compiler.compile(source(chain('accept')))).program.policy, 'test');
  });

  it('ends what takes too long and goes on', async () => {
    // Listening for events, from inside a file, never comes back.
    await assert.rejects(compiler.compile(source(`${chain('accept')}monitor\n`)), {
      code: 'COMPILER_TIMEOUT',
      message: /policy\.nft: the policy did not compile within 3000 ms/,
    });
    assert.equal((await compiler.compile(source(chain('accept')))).program.policy, 'test');
  });

  it('ends what takes too much of the processor, and lets what only waits take its time', async () => {
    const request = (text: string): CompileRequest => ({
      ...{ id: 1, kind: 'compile', text, directory: undefined, variables: {}, listing: false },
      passes: [{ name: 'standin', index: 4711, links: [] }],
    });
    const child = new CompilerProcess({ processorLimitMs: 100 });
    try {
      const rules = Array.from({ length: 20_000 }, (_, number) => `udp dport ${number} accept`);
      await assert.rejects(child.run(request(chain(...rules))), {
        code: 'COMPILER_TIMEOUT',
        message: /did not compile within 100 ms/,
      });
      // It waits for events, and takes no processor time for it.
      const waiting = child.run(request(`${chain('accept')}monitor\n`)).catch((error: unknown) => error);
      assert.equal(await Promise.race([waiting, delay(1_000, 'still waiting')]), 'still waiting');
    } finally {
      child.close();
    }
  });

  it('starts its process ahead of the first policy when told to', async () => {
    const warm = new Compiler();
    const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
    const before = children();
    try {
      warm.warm();
      const started = children().filter((pid) => !before.includes(pid));
      assert.equal(started.length, 1);
      assert.equal((await warm.compile(source(chain('accept')))).program.policy, 'test');
      assert.deepEqual(
        children().filter((pid) => !before.includes(pid)),
        started,
      );
    } finally {
      warm.close();
    }
  });

  it('ends with a process that is killed while libnftables does not come back', async () => {
    const module = new URL('../../dist/compiler/compiler.js', import.meta.url).href;
    const policy = JSON.stringify(source(`${chain('accept')}monitor\n`));
    const script = `import { Compiler } from '${module}'; await new Compiler().compile(${policy});`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
    const exited = once(parent, 'exit');
    const child = () => readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8').trim();
    const sockets = (pid: string) =>
      readdirSync(`/proc/${pid}/fd`).filter((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
        } catch {
          // It was closed meanwhile.
          return false;
        }
      });
    // Three lead to its parent; with more it is at work, and hears of nothing until that is done, which it never is.
    await until('the child compiles', () => child() !== '' && sockets(child()).length > 3);
    const pid = child();
    parent.kill('SIGKILL');
    await exited;
    // Who has inherited it may take its time to ask what became of it.
    const isGone = () =>
      !existsSync(`/proc/${pid}`) || /State:\tZ/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    await until('the child is gone', isGone);
  });

  it('gives a policy the same digest each time, and another rule another', async () => {
    const text = `table netdev t {\n  set s { type ipv4_addr; elements = { ${Array.from({ length: 300 }, (_, n) => `10.0.${n >> 8}.${n & 255}`).join(', ')} } }\n  chain in { type filter hook ingress device $intf priority 0; policy accept;\n    ip saddr @s drop\n  }\n}\n`;
    const digests = [];
    for (let round = 0; round < 4; round++)
      digests.push((await compiler.compile(source(text))).program.digest);
    assert.equal(new Set(digests).size, 1, digests.join(' '));
    const other = await compiler.compile(source(text.replace('10.0.0.7', '10.9.9.9')));
    assert.notEqual(other.program.digest, digests[0]);
  });

  it('follows includes inside the policy’s folder and none that leads out of it', async () => {
    await withFiles(
      { 'hosts.nft': 'define hosts = { 10.0.0.1, 10.0.0.2 }\n', 'bad.nft': '# fine\nnonsense\n' },
      async (folder) => {
        const including = (path: string) =>
          source(`include "${path}"\n${chain('ip saddr $hosts drop')}`, { directory: folder });
        await compiler.compile(including('hosts.nft'));
        await compiler.compile(including('./hosts.nft'));
        await compiler.compile(including(`${folder}/host*.nft`));
        const [inside] = await problemsOf(including('bad.nft'));
        assert.deepEqual({ ...inside?.location }, { file: join(folder, 'bad.nft'), line: 2, column: 9 });
        for (const path of [
          '/etc/hostname',
          '../../../../../../etc/hostname',
          '/etc/host*',
          '/proc/self/environ',
        ]) {
          const [outside] = await problemsOf(including(path));
          assert.match(outside?.message ?? '', /leads out of the policy's folder/, path);
          assert.equal(outside?.location?.line, 1);
        }
        for (const path of ['*/hostname', 'x/../et?/hostname', '{a,/etc/}hostname']) {
          const [wild] = await problemsOf(including(path));
          assert.match(wild?.message ?? '', /wildcards in the name of a folder/, path);
        }
        symlinkSync('/etc/hostname', join(folder, 'link.nft'));
        const [byPattern] = await problemsOf(including('l[i]nk.*'));
        assert.match(byPattern?.message ?? '', /leads out/);
        const [linked] = await problemsOf(including('link.nft'));
        assert.match(linked?.message ?? '', /leads out/);
        mkdirSync(join(folder, 'deep'));
        writeFileSync(join(folder, 'deep', 'outer.nft'), 'include "/etc/hostname"\n');
        const [nested] = await problemsOf(including('deep/outer.nft'));
        assert.match(nested?.message ?? '', /leads out/);
        assert.equal(nested?.location?.file, join(folder, 'deep', 'outer.nft'));
      },
    );
  });

  it('fills in the index of another link when the device is attached', async () => {
    await withLab(async (lab) => {
      const guest = lab.addGuest({ name: 'macvtap0', mac: '52:54:00:00:00:01' });
      const { program } = await compiler.compile(
        source(chain('ip saddr 203.0.113.9 fwd to mirror0', 'iif mirror0 drop')),
      );
      assert.deepEqual(program.links, ['mirror0']);
      const hand = new Hand(kernel, lab.host.namespace);
      try {
        const attach = () => hand.attach(hand.findDevice('macvtap0'), program);
        assert.throws(attach, { code: 'LINK_NOT_FOUND', message: /mirror0/ });
        assert.equal(
          runIn(lab.host.namespace, [
            'ip',
            'link',
            'add',
            'mirror0',
            'type',
            'veth',
            'peer',
            'name',
            'mirror1',
          ]).status,
          0,
        );
        attach();
        const { stdout } = runIn(lab.host.namespace, ['nft', 'list', 'ruleset']);
        assert.match(stdout, /fwd to "mirror0"/);
        assert.match(stdout, /iif "mirror0" drop/);
        assert.equal(await passes(packet(lab.world(), guest)), true);
      } finally {
        hand.close();
      }
    });
  });

  it('fills in the device wherever $intf stands: hooks, names, indexes, sets, intervals, log prefixes', async () => {
    const text = `table netdev t {
  set names { type ifname; elements = { $intf, "eth0" } }
  set pairs { type iface_index . ipv4_addr; elements = { $intf . 10.0.0.1 } }
  set wild  { type ifname; flags interval; elements = { $intf, "virbr*" } }
  map marks { type iface_index : mark; elements = { $intf : 7 } }
  chain in {
    type filter hook ingress devices = { $intf } priority 0; policy accept;
    iif $intf iifname $intf counter
    iifname @names counter
    iif . ip saddr @pairs counter
    iifname @wild counter
    iif 1-$intf counter
    iif { 1-$intf } counter
    iif != $intf drop
    meta mark set iif map @marks
    log prefix "to $intf: " continue
  }
}
`;
    const { program } = await compiler.compile(source(text));
    for (const name of ['macvtap0', 'm', 'macvtap12345678']) {
      await withLab(async (lab) => {
        const guest = lab.addGuest({ name, mac: '52:54:00:00:00:01' });
        const hand = new Hand(kernel, lab.host.namespace);
        hand.attach(hand.findDevice(name), program);
        hand.close();
        assert.equal(await passes(packet(lab.world(), guest, { source: '10.0.0.1' })), true);
        const { stdout } = runIn(lab.host.namespace, ['nft', 'list', 'ruleset']);
        assert.equal(stdout.includes(`hook ingress device "${name}"`), true, stdout);
        assert.equal(stdout.includes(`log prefix "to ${name}: "`), true, stdout);
        // Every counter saw the frame: the name, the index, and both in sets.
        const counters = [...stdout.matchAll(/counter packets (\d+)/g)].map(([, packets]) => Number(packets));
        assert.equal(counters.length, 6, stdout);
        assert.ok(
          counters.every((packets) => packets > 0),
          stdout,
        );
      });
    }
  });

  it('starts anew what expires, and keeps an expiry of the user’s', async () => {
    const text = `table netdev t {
  set s { type ipv4_addr; flags timeout; timeout 1h; elements = { 10.0.0.1, 10.0.0.2 timeout 2h expires 30m } }
  chain in { type filter hook ingress device $intf priority 0; policy accept;
    ip saddr @s drop
  }
}
`;
    const { program } = await compiler.compile(source(text));
    await withLab((lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:00:00:01' });
      const hand = new Hand(kernel, lab.host.namespace);
      hand.attach(hand.findDevice('macvtap0'), program);
      hand.close();
      const { stdout } = runIn(lab.host.namespace, ['nft', 'list', 'ruleset']);
      assert.match(stdout, /10\.0\.0\.1 expires 59m5\d|10\.0\.0\.1 expires 1h/, stdout);
      assert.match(stdout, /10\.0\.0\.2 timeout 2h expires (29m5\d|30m)/, stdout);
    });
  });
});
