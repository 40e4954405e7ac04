import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { addon } from './support.js';

const BUILT = new URL('../../build/Release/tapwall.node', import.meta.url).pathname;
const CAP_NET_ADMIN = 12;

/** In a process of its own: what is given up is gone for good. */
function script(text: string): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', text, BUILT], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

test('another program takes the place of the process, with those capabilities alone', () => {
  const said = script(`
    console.log(process.pid);
    require(process.argv[1]).restartWithRights({ capabilities: [${CAP_NET_ADMIN}], command: ['/bin/grep', '-E', '^(Pid|Cap|NoNew)', '/proc/self/status'] });
  `);
  const [pid, ...lines] = said.trim().split('\n');
  const mask = (1 << CAP_NET_ADMIN).toString(16).padStart(16, '0');
  const none = '0'.repeat(16);
  assert.deepEqual(lines, [
    `Pid:\t${pid}`,
    `CapInh:\t${none}`,
    `CapPrm:\t${mask}`,
    `CapEff:\t${mask}`,
    `CapBnd:\t${mask}`,
    `CapAmb:\t${none}`,
    'NoNewPrivs:\t1',
  ]);
});

test('nothing is given up for a program that is not there', () => {
  const said = script(`
    const { readFileSync } = require('node:fs');
    const rights = () => readFileSync('/proc/self/status', 'utf8').match(/^(CapInh|CapBnd|NoNewPrivs).*$/gm).join();
    const before = rights();
    try {
      require(process.argv[1]).restartWithRights({ capabilities: [], command: ['/nowhere/at/all'] });
    } catch ({ code, syscall }) {
      console.log(code, syscall, rights() === before);
    }
  `);
  assert.equal(said, 'ENOENT access true\n');
});

test('a program must be named', () => {
  assert.throws(() => addon.restartWithRights({ capabilities: [], command: [] }), TypeError);
  assert.throws(() => addon.restartWithRights({ capabilities: [-1], command: ['/bin/true'] }), TypeError);
});
