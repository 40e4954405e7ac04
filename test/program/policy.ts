/** A policy as its two compilations were captured, and as a program. */
import { parseMessages } from '#src/netlink/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { buildProgram, type Compilation } from '#src/program/build.js';
import type { Program } from '#src/program/program.js';
import { readFixture } from '../fixtures-support/hex.js';
import { firstMarkers, secondMarkers } from '../fixtures-support/markers.js';

/** Anew each time: a test may change it. */
export function compilations(): [first: Compilation, second: Compilation] {
  const read = (name: string) => parseRuleset(parseMessages(readFixture(`policy/${name}`).bytes));
  return [
    { ruleset: read('first'), markers: firstMarkers, elapsedMs: 0 },
    { ruleset: read('second'), markers: secondMarkers, elapsedMs: 0 },
  ];
}

export function policyProgram(): Program {
  return buildProgram('lan-guard', 'lan-guard.nft', ...compilations());
}
