import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { locate, type PolicyText, problemIn } from '#src/config/configuration.js';
import { FILE, parse, withPolicy } from './support.js';

function ingressOf(text: string): PolicyText {
  const policy = parse(text).policies.get('p');
  assert.ok(policy?.kind === 'inline' && policy.ingress);
  return policy.ingress;
}

/** Asserts that each character of the policy's text is found where `locate` says it is. */
function assertVerbatim(source: string, policyText: PolicyText): void {
  const lines = source.split(/\r?\n/);
  assert.ok(policyText.verbatim);
  for (const [lineIndex, line] of policyText.text.split('\n').entries()) {
    for (const [columnIndex, character] of line.split('').entries()) {
      const place = locate(policyText, lineIndex + 1, columnIndex + 1);
      assert.equal(lines[place.line - 1]?.[place.column - 1], character);
    }
  }
}

describe('a text keeps its places', () => {
  const cases: [name: string, lines: string[]][] = [
    ['in a block', ['ingress: |', '  accept', '    drop']],
    [
      'in a block with a comment beside the `|` and blank lines first',
      ['ingress: |  # rules', '', '  accept', '', '  drop'],
    ],
    [
      'in a block that strips or keeps its last lines',
      ['ingress: |-', '  accept', '', 'egress: |+', '  drop', ''],
    ],
    ['in a block that says how far it is indented', ['ingress: |2', '    accept', '  drop']],
    ['in a block with a tag and an anchor', ['ingress: &a !!str |', '  accept']],
    ['on one line', ['ingress: ip saddr 1.2.3.4 drop # not this']],
    ['on the line after its key', ['ingress:', '  accept']],
    ['in double quotes', ['ingress: "ip saddr { 1.2.3.4 } drop"']],
    ['in single quotes', ["ingress: 'accept'"]],
  ];
  for (const [name, lines] of cases) {
    test(name, () => {
      const source = withPolicy(...lines);
      assertVerbatim(source, ingressOf(source));
      const windows = source.replaceAll('\n', '\r\n');
      assertVerbatim(windows, ingressOf(windows));
    });
  }

  test('in a block that begins with a blank line', () => {
    const text = ingressOf(withPolicy('ingress: |', '', '  drop'));
    assert.deepEqual(locate(text, 2, 1), { file: FILE, line: 5, column: 7 });
  });

  test('whatever the block holds', () => {
    const line = fc.string({
      unit: fc.constantFrom('a', ' ', '\t', 'é', '#', '"', '\u{1f600}', ':'),
      maxLength: 8,
    });
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        (lines, indentation) => {
          const source = `policies:\n  p:\n    default: drop\n    ingress: |${indentation}\n${lines.map((one) => `${' '.repeat(4 + indentation)}${one}\n`).join('')}bindings: []\n`;
          let text: PolicyText;
          try {
            text = ingressOf(source);
          } catch (error) {
            // An unpaired quote is refused before there is a text.
            assert.match(String(error), /string is not closed/);
            return;
          }
          assertVerbatim(source, text);
        },
      ),
    );
  });
});

describe('a text that YAML changed is only known to begin somewhere', () => {
  const cases: [name: string, lines: string[], column: number][] = [
    ['folded', ['ingress: >', '  accept', '  drop'], 14],
    ['with escapes', ['ingress: "a\\tb"'], 14],
    ['with a doubled quote', ["ingress: 'it''s'"], 14],
    ['on several lines', ['ingress: accept', '  drop'], 14],
  ];
  for (const [name, lines, column] of cases) {
    test(name, () => {
      const text = ingressOf(withPolicy(...lines));
      assert.equal(text.verbatim, false);
      assert.deepEqual(locate(text, 2, 5), { file: FILE, line: 3, column });
    });
  }
});

describe('a problem inside a text', () => {
  test('shows the line of the file', () => {
    const source = withPolicy('ingress: |', '  accept', '  ip saddr 1 drop');
    assert.deepEqual(
      problemIn(ingressOf(source), { line: 2, column: 10, length: 1 }, 'a message', 'a hint'),
      {
        message: 'a message',
        hint: 'a hint',
        location: { file: FILE, line: 5, column: 16 },
        sourceLine: '      ip saddr 1 drop',
        length: 1,
      },
    );
  });

  test('marks the beginning where the place is not known', () => {
    const source = withPolicy('ingress: >', '  accept', '  ip saddr 1 drop');
    assert.deepEqual(problemIn(ingressOf(source), { line: 1, column: 10, length: 7 }, 'a message'), {
      message: 'a message',
      location: { file: FILE, line: 3, column: 14 },
      sourceLine: '    ingress: >',
      length: 1,
    });
  });
});
