import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatProblem, SourceError, TapwallError } from '#src/error.js';

it('a problem shows its place, its line, a mark under what is meant, and what to do', () => {
  const text = formatProblem({
    message: 'no such verdict',
    location: { file: 'a.nft', line: 3, column: 5 },
    sourceLine: '\tip dorp',
    length: 4,
    hint: 'Did you mean drop?',
  });
  assert.equal(
    text,
    ['a.nft:3:5: no such verdict', '    \tip dorp', '    \t   ^^^^', '    Did you mean drop?'].join('\n'),
  );
});

it('a problem without a place is its message alone', () => {
  assert.equal(formatProblem({ message: 'nothing hooks $intf' }), 'nothing hooks $intf');
});

it('errors as JSON carry code, message, hint and problems, and no stack', () => {
  const problem = { message: 'bad', location: { file: 'f', line: 1, column: 2 } };
  const json = JSON.parse(JSON.stringify(new SourceError('POLICY', [problem], { hint: 'mend it' })));
  assert.deepEqual(json, { code: 'POLICY', message: 'f:1:2: bad', hint: 'mend it', problems: [problem] });
  assert.deepEqual(new TapwallError('ARGUMENT', 'no').toJSON(), { code: 'ARGUMENT', message: 'no' });
});
