import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canMakeNamespaces, readPrivileges } from '#src/kernel/privilege.js';

const status = (effective: string, noNew = 0) =>
  `Name:\tnode\nCapInh:\tffffffffffffffff\nCapEff:\t${effective}\nCapBnd:\tffffffffffffffff\nNoNewPrivs:\t${noNew}\n`;

describe('privileges', () => {
  test('are read from what the kernel says of the process', () => {
    assert.deepEqual(readPrivileges(status('0000000000000000')), {
      capabilities: [],
      noNewPrivileges: false,
    });
    assert.deepEqual(readPrivileges(status('0000000000201000', 1)), {
      capabilities: ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'],
      noNewPrivileges: true,
    });
    const all = readPrivileges(status('000003ffffffffff')).capabilities;
    assert.equal(all.length, 42);
    assert.deepEqual([all[0], all[40], all[41]], ['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE', 'CAP_41']);
  });

  test('are enough for namespaces with two capabilities, and not with one', () => {
    const can = (effective: string) => canMakeNamespaces(readPrivileges(status(effective)));
    assert.deepEqual(['201000', '200000', '1000', '0'].map(can), [true, false, false, false]);
  });
});
