import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SourceError } from '#src/error.js';
import { renderInline } from '#src/policy/inline.js';
import { tokenize } from '#src/policy/lexer.js';
import { brief, policyWith, rules } from './support.js';

const BOTH = { hooks: { egress: true } };

describe('an inline policy becomes an nft file', () => {
  test('with both chains, the rules verbatim on lines of their own', () => {
    const policy = policyWith({
      ingress: rules('ip saddr 192.168.2.1 accept\n  ip saddr 192.168.0.0/16 drop\n'),
      egress: rules('accept'),
      default: 'accept',
    });
    assert.equal(
      renderInline(policy, BOTH).text,
      `table netdev tapwall {
\tchain ingress {
\t\ttype filter hook ingress device $intf priority filter; policy accept;
ip saddr 192.168.2.1 accept
  ip saddr 192.168.0.0/16 drop
\t}
\tchain egress {
\t\ttype filter hook egress device $intf priority filter; policy accept;
accept
\t}
}
`,
    );
  });

  test('in which a direction without rules has the default alone', () => {
    assert.equal(
      renderInline(policyWith({ ingress: rules('accept') }), BOTH).text,
      `table netdev tapwall {
\tchain ingress {
\t\ttype filter hook ingress device $intf priority filter; policy drop;
accept
\t}
\tchain egress {
\t\ttype filter hook egress device $intf priority filter; policy drop;
\t}
}
`,
    );
  });

  test('without egress where the kernel has no such hook, whatever stands there', () => {
    const policy = policyWith({ ingress: rules('accept'), egress: rules('drop') });
    assert.equal(
      renderInline(policy, { hooks: { egress: false } }).text,
      `table netdev tapwall {
\tchain ingress {
\t\ttype filter hook ingress device $intf priority filter; policy drop;
accept
\t}
}
`,
    );
  });

  test('not if the rules reach beyond their chain', () => {
    const policy = policyWith({ ingress: rules('accept }'), egress: rules('type x') });
    assert.throws(
      () => renderInline(policy, BOTH),
      (error) => {
        assert.ok(error instanceof SourceError);
        assert.equal(error.code, 'POLICY');
        assert.deepEqual(error.problems.map(brief), [
          '10:14+1 this `}` has no `{`: it would end the chain that tapwall puts these rules into',
          '10:7+4 tapwall itself says what the chain is hooked to',
        ]);
        return true;
      },
    );
  });
});

describe('a place in the nft file', () => {
  const policy = policyWith({ ingress: rules('accept\n\n# é drop\n'), egress: rules('drop') });
  const { sourceMap } = renderInline(policy, BOTH);
  const at = (line: number, column: number) => {
    const place = sourceMap.locate(line, column);
    return place && `${place.file}:${place.line}:${place.column}`;
  };

  test('leads back to the configuration', () => {
    assert.equal(at(4, 1), 'tapwall.yaml:10:7');
    assert.equal(at(4, 3), 'tapwall.yaml:10:9');
    assert.equal(at(5, 1), 'tapwall.yaml:11:7');
    assert.equal(at(10, 2), 'tapwall.yaml:10:8');
  });

  test('is counted in bytes, as nft does', () => {
    assert.equal(at(6, 3), 'tapwall.yaml:12:9');
    assert.equal(at(6, 4), 'tapwall.yaml:12:9');
    assert.equal(at(6, 6), 'tapwall.yaml:12:11');
    assert.equal(at(6, 99), 'tapwall.yaml:12:15');
  });

  test('leads nowhere if tapwall wrote it', () => {
    for (const line of [0, 1, 2, 3, 7, 8, 9, 11, 12, 13])
      assert.equal(at(line, 1), undefined, `line ${line}`);
  });
});

test('whatever is rendered has two chains, whose braces hold the rules', () => {
  const units = [...'{}"#\\;\n \ta', '\\\n', 'type', 'policy', 'chain x {', 'accept', 'include'];
  const text = fc.string({ unit: fc.constantFrom(...units), maxLength: 12 });
  fc.assert(
    fc.property(text, text, (ingress, egress) => {
      let rendered: string;
      try {
        rendered = renderInline(policyWith({ ingress: rules(ingress), egress: rules(egress) }), BOTH).text;
      } catch (error) {
        assert.ok(error instanceof SourceError);
        return;
      }
      const chains: string[] = [];
      let depth = 0;
      let tables = 0;
      const tokens = tokenize(rendered).filter(({ kind }) => kind !== 'comment');
      for (const [index, token] of tokens.entries()) {
        if (token.text === 'chain' && depth === 1) chains.push(tokens[index + 1]?.text ?? '');
        if (token.text === '{') depth++;
        if (token.text === '}') depth--;
        if (token.text === '}' && depth === 0) tables++;
      }
      assert.deepEqual([depth, tables, chains], [0, 1, ['ingress', 'egress']]);
    }),
    { numRuns: 3000 },
  );
});
