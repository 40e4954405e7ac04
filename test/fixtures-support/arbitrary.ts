/** What fast-check makes valid messages of. */
import fc from 'fast-check';
import { concat, h16 } from './bytes.js';

export type Tree = { type: number; flags: number } & ({ value: Uint8Array } | { nested: Tree[] });

const plain = { noNullPrototype: true };

/** Attribute trees up to four levels deep. */
export function attributeTrees(largestType = 0x3fff): fc.Arbitrary<Tree[]> {
  const type = fc.nat(largestType);
  const flags = fc.constantFrom(0, 0x8000, 0x4000, 0xc000);
  const { trees } = fc.letrec<{ trees: Tree[]; tree: Tree }>((tie) => ({
    trees: fc.array(tie('tree'), { maxLength: 5, depthIdentifier: 'tree' }),
    tree: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'tree' },
      fc.record({ type, flags, value: fc.uint8Array({ maxLength: 20 }) }, plain),
      fc.record({ type, flags, nested: tie('trees') }, plain),
    ),
  }));
  return trees;
}

/** Written by hand: encodeAttributes is under test. */
export function encodeTrees(trees: readonly Tree[]): Uint8Array {
  return concat(
    trees.map((tree) => {
      const value = 'value' in tree ? tree.value : encodeTrees(tree.nested);
      return concat([
        h16(4 + value.length),
        h16(tree.type | tree.flags),
        value,
        new Uint8Array(-value.length & 3),
      ]);
    }),
  );
}

/** Text without a NUL, in which every character is whole. */
export const text = fc
  .string({ unit: 'binary', maxLength: 20 })
  .map((string) => string.replaceAll('\0', '0'));

export const u32 = fc.nat(0xffffffff);
export const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
export const bytes = fc.uint8Array({ maxLength: 24 });
