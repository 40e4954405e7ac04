/** Frames that a packet library made, through real taps, against each guard and against all of them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import type { Placement } from '#src/config/configuration.js';
import { PLACEMENTS } from '../support/agent.js';
import { type AttackFrame, DEFAULT_PROFILE, type Fate, readCorpus } from './corpus.js';
import { configurationOf, DEFAULT_GUARDS, withGuardedGuest, withOpenGuest } from './setup.js';
import { fateOf, Range } from './volley.js';

/** What is at the far end of a lab's cable. */
const GATEWAY_MAC = '02:00:00:00:00:fe';
const FEWEST_FRAMES = 450;
/** Where the table of frames by what was expected and seen is written to. */
const TABLE = process.env['TAPWALL_ATTACK_TABLE'];

const corpus = readCorpus(GATEWAY_MAC);
/** By placement, then by frame. */
const seen = new Map<string, Map<string, Fate>>();

function describeFrame({ id, direction, description }: AttackFrame): string {
  return `${id}, ${direction}: ${description}`;
}

/** Frames that must be counted by the same guard, together; the guard's name, or null where that is left open. */
function groupByReason(frames: readonly AttackFrame[]): Map<string | null, AttackFrame[]> {
  const groups = new Map<string | null, AttackFrame[]>();
  for (const frame of frames) {
    const group = groups.get(frame.reason) ?? [];
    groups.set(frame.reason, group);
    group.push(frame);
  }
  return groups;
}

/** Sends frames at a guest behind a profile's guards; gives what went otherwise than it should have, in words. */
async function attack(
  placement: Placement,
  profile: string,
  frames: readonly AttackFrame[],
): Promise<string[]> {
  return withGuardedGuest(placement, configurationOf(profile), async (guarded) => {
    const range = new Range(guarded, frames);
    const wrong: string[] = [];
    let before = guarded.drops();
    for (const [reason, group] of groupByReason(frames)) {
      await range.send(group);
      const now = guarded.drops();
      if (reason !== null) {
        // At least: the host itself sends from the device what a guard may drop, too.
        const counted = (now.get(reason) ?? 0) - (before.get(reason) ?? 0);
        if (counted < group.length) wrong.push(`${reason} counted ${counted} of ${group.length} drops`);
      }
      before = now;
    }
    const arrived = await range.send([]);
    const fates = seen.get(placement) ?? new Map<string, Fate>();
    seen.set(placement, fates);
    for (const frame of frames) {
      const fate = fateOf(frame, arrived);
      if (profile === frame.profile) fates.set(frame.id, fate);
      if (fate !== frame.expected) wrong.push(`${fate}: ${describeFrame(frame)}`);
    }
    return wrong;
  });
}

function writeTable(file: string): void {
  const placements = [...seen.keys()];
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rows = corpus.map((frame) => [
    frame.id,
    frame.direction,
    frame.description,
    frame.profile,
    frame.expected,
    ...placements.map((placement) => seen.get(placement)?.get(frame.id) ?? '-'),
  ]);
  const head = ['frame', 'direction', 'what it is', 'guards', 'expected', ...placements];
  writeFileSync(file, `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`);
}

describe('the attack corpus', () => {
  it('has frames enough, each once', () => {
    assert.ok(corpus.length >= FEWEST_FRAMES, `${corpus.length} frames`);
    assert.equal(new Set(corpus.map(({ direction, hex }) => direction + hex)).size, corpus.length);
    assert.equal(new Set(corpus.map(({ id }) => id)).size, corpus.length);
  });

  it('reaches the other end, every frame of it, when nothing filters', async () => {
    await withOpenGuest(async (stations) => {
      const open = corpus.map((frame): AttackFrame => ({ ...frame, expected: 'passes' }));
      const arrived = await new Range(stations, open).send(open);
      assert.deepEqual(open.filter(({ id }) => !arrived.has(id)).map(describeFrame), []);
    });
  });

  for (const placement of PLACEMENTS) {
    describe(`under placement ${placement}`, () => {
      const profiles = [...new Set(corpus.map(({ profile }) => profile))];
      for (const profile of profiles) {
        it(`is met by ${profile === DEFAULT_PROFILE ? 'the guards for everybody' : profile}`, async () => {
          const frames = corpus.filter((frame) => frame.profile === profile);
          assert.deepEqual(await attack(placement, profile, frames), []);
        });
      }
    });
  }

  /**
   * Under one placement only, to save a minute: where hooks stand decides which devices' frames come to the shared
   * chains, and the profiles above show that under each; what a guard's chain does with them is the same then.
   */
  describe('each guard for everybody', () => {
    for (const guard of DEFAULT_GUARDS) {
      it(`${guard} alone meets what attacks it, and passes what does not`, async () => {
        const frames = corpus
          .filter(({ profile }) => profile === DEFAULT_PROFILE)
          .filter((frame) => frame.guard === guard || frame.expected === 'passes')
          .map((frame) => (frame.expected === 'dropped' ? { ...frame, reason: guard } : frame));
        assert.deepEqual(await attack('names', guard, frames), []);
      });
    }
  });

  after(() => {
    if (TABLE !== undefined) writeTable(TABLE);
  });
});
