import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { visible, visibleLine } from '#src/observe/visible.js';

describe('a text for a terminal', () => {
  test('stays as it is where it can be seen', () => {
    const text = 'macvtap0\tµs\n“é” 日本 😀';
    assert.equal(visible(text), text);
  });

  test('shows what would act on the terminal', () => {
    assert.equal(
      visible('\u001b[2J\u009b1A\u0007\r\u007f\0'),
      '\\u001b[2J\\u009b1A\\u0007\\u000d\\u007f\\u0000',
    );
    assert.equal(visible('a\u202eb\u2028c'), 'a\\u202eb\\u2028c');
  });

  test('stays on one line where it must', () => {
    assert.equal(visibleLine('nft\nready\t1'), 'nft\\u000aready\\u00091');
  });
});
