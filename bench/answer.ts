import { readSync, writeSync } from 'node:fs';

/** What a contender's process does when it is asked; each gives nanoseconds. */
export interface Abilities {
  attach(): bigint;
  detach?(): bigint;
}

/**
 * The other side of `contender.ts`, for contenders in TypeScript. Blocks in read(2), as the agent's thread blocks in
 * poll(2): no event loop is between waking and working.
 */
export function answerQuestions(abilities: Abilities): void {
  const line = Buffer.alloc(64);
  writeSync(1, 'ready\n');
  for (let length = readSync(0, line); length > 0; length = readSync(0, line)) {
    let answer: string;
    try {
      answer = answerTo(line.toString('latin1', 0, length).trim(), abilities).join(' ');
    } catch (error) {
      answer = `! ${error instanceof Error ? error.message.replaceAll('\n', ' ') : String(error)}`;
    }
    writeSync(1, `${answer}\n`);
  }
}

function answerTo(question: string, abilities: Abilities): bigint[] {
  const [word, count] = question.split(' ');
  const detach = (): bigint => {
    if (!abilities.detach) throw new Error(`cannot ${question}`);
    return abilities.detach();
  };
  if (word === 'attach') return [abilities.attach()];
  if (word === 'detach') return [detach()];
  const figures: bigint[] = [];
  for (let pair = Number(count); pair > 0; pair--) figures.push(abilities.attach(), detach());
  return figures;
}
