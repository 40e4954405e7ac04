/** Inputs made of others. */
import type { Chance } from '../campaign/chance.js';

/** Now and then one is that long: what takes the square of its length shows. */
const LONGEST = 200_000;
const INTERESTING = [0, 1, 2, 3, 4, 7, 8, 15, 16, 0x7f, 0x80, 0xfe, 0xff];

type Mutation = (bytes: Buffer, chance: Chance, other: Buffer) => Buffer;

function slice(bytes: Buffer, chance: Chance): [start: number, end: number] {
  const start = chance.below(bytes.length + 1);
  return [start, start + chance.below(Math.min(bytes.length - start, 64) + 1)];
}

function splice(bytes: Buffer, start: number, end: number, put: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, start), put, bytes.subarray(end)]);
}

function changed(
  bytes: Buffer,
  change: (copy: Buffer, at: number) => void,
  chance: Chance,
  room = 1,
): Buffer {
  if (bytes.length < room) return bytes;
  const copy = Buffer.from(bytes);
  change(copy, chance.below(copy.length - room + 1));
  return copy;
}

const MUTATIONS: readonly Mutation[] = [
  // A bit, a byte, a word, a length.
  (bytes, chance) =>
    changed(bytes, (copy, at) => copy.writeUInt8((copy[at] ?? 0) ^ (1 << chance.below(8)), at), chance),
  (bytes, chance) => changed(bytes, (copy, at) => copy.writeUInt8(chance.below(256), at), chance),
  (bytes, chance) => changed(bytes, (copy, at) => copy.writeUInt8(chance.of(INTERESTING), at), chance),
  (bytes, chance) =>
    changed(bytes, (copy, at) => copy.writeUInt16LE(chance.below(copy.length + 8), at & ~3), chance, 4),
  (bytes, chance) =>
    changed(bytes, (copy, at) => copy.writeUInt16LE(chance.below(0x40), (at & ~3) + 2), chance, 4),
  (bytes, chance) =>
    changed(bytes, (copy, at) => copy.writeUInt32LE(chance.below(2 ** 32), at & ~3), chance, 4),
  // What is left out, doubled, moved, or comes from elsewhere.
  (bytes, chance) => splice(bytes, ...slice(bytes, chance), Buffer.alloc(0)),
  (bytes, chance) => bytes.subarray(0, chance.below(bytes.length + 1)),
  (bytes, chance) => {
    const [start, end] = slice(bytes, chance);
    return splice(bytes, end, end, bytes.subarray(start, end));
  },
  (bytes, chance, other) => {
    const [start, end] = slice(bytes, chance);
    return splice(bytes, start, end, other.subarray(...slice(other, chance)));
  },
  (bytes, chance, other) => Buffer.concat([bytes.subarray(0, chance.below(bytes.length + 1)), other]),
];

/** One piece, over and over. */
function repeated(bytes: Buffer, chance: Chance): Buffer {
  const [start, end] = slice(bytes, chance);
  const piece = bytes.subarray(start, Math.min(end, start + 4));
  if (piece.length === 0) return bytes;
  const times = chance.below(Math.floor(LONGEST / piece.length)) + 1;
  return splice(bytes, start, start, Buffer.alloc(times * piece.length, piece));
}

/** Some changes to an input, of which some come from another. */
export function mutate(input: Buffer, other: Buffer, chance: Chance): Buffer {
  if (chance.oneIn(2_000)) return repeated(input, chance);
  let bytes = input;
  for (let times = 1 + chance.below(4); times > 0; times--)
    bytes = chance.of(MUTATIONS)(bytes, chance, other);
  return bytes;
}
