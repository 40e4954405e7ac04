import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectVariable, policyNameOf } from '#src/cli/options.js';
import { EXIT, reportError } from '#src/cli/output.js';
import { TapwallError } from '#src/error.js';
import { KernelError } from '#src/netlink/error.js';

describe('policyNameOf', () => {
  it('names a policy after its file, in the letters a configuration allows', () => {
    assert.equal(policyNameOf('/etc/tapwall/filtermacvtap.nft'), 'filtermacvtap');
    assert.equal(policyNameOf('my policy (2).nft'), 'my_policy__2_');
    assert.equal(policyNameOf('..nft'), 'policy');
    assert.equal(policyNameOf('.hidden.nft'), 'hidden');
    assert.equal(policyNameOf(`${'x'.repeat(100)}.nft`).length, 63);
  });
});

describe('collectVariable', () => {
  it('collects NAME=VALUE, a list too', () => {
    assert.deepEqual(collectVariable('b={ 1, 2 }', { a: '1' }), { a: '1', b: '{ 1, 2 }' });
  });
  for (const text of [
    'x',
    '=x',
    '1x=2',
    'a b=c',
    'intf=macvtap0',
    'x=1; include "/etc/hostname"',
    'x=1\n2',
    'x=',
  ]) {
    it(`refuses ${text}`, () =>
      assert.throws(() => collectVariable(text, {}), { code: 'commander.invalidArgument' }));
  }
});

describe('reportError', () => {
  /** Keeps what is written to a stream while `action` runs. */
  function capture(stream: NodeJS.WriteStream, action: () => number): { status: number; text: string } {
    const write = stream.write;
    let text = '';
    stream.write = ((chunk: string) => {
      text += chunk;
      return true;
    }) as typeof stream.write;
    try {
      return { status: action(), text };
    } finally {
      stream.write = write;
    }
  }

  it('tells message and hint on standard error, and gives the status of the code', () => {
    const error = new TapwallError('DEVICE_NOT_FOUND', 'there is no device x', { hint: 'There is y.' });
    const { status, text } = capture(process.stderr, () => reportError(error, false));
    assert.equal(status, EXIT.notFound);
    assert.equal(text, 'tapwall: there is no device x\n  There is y.\n');
  });

  it('tells one JSON object on standard output under --json', () => {
    const error = new KernelError('NEWCHAIN in', { errno: 17, sequence: 4, extendedAck: { message: 'no' } });
    const { status, text } = capture(process.stdout, () => reportError(error, true));
    assert.equal(status, EXIT.failure);
    const { event, code, errno, operation, sequence, extendedAck } = JSON.parse(text);
    assert.deepEqual(
      { event, code, errno, operation, sequence, extendedAck },
      {
        event: 'error',
        code: 'EEXIST',
        errno: 17,
        operation: 'NEWCHAIN in',
        sequence: 4,
        extendedAck: { message: 'no' },
      },
    );
  });

  it('says what to do about a missing right', () => {
    const error = new KernelError('NEWTABLE t', { errno: 1, sequence: 1, extendedAck: {} });
    assert.match(capture(process.stderr, () => reportError(error, false)).text, /EPERM.*\n.*CAP_NET_ADMIN/);
  });

  it('calls anything else a defect of tapwall, with its stack', () => {
    const { status, text } = capture(process.stderr, () => reportError(new RangeError('oops'), false));
    assert.equal(status, EXIT.failure);
    assert.match(text, /defect of tapwall.*RangeError: oops\n {4}at /s);
  });
});
