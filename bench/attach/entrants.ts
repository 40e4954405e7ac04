import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Compiler } from '#src/compiler/compiler.js';
import { LEGACY_FILE } from '#src/demo/scenario.js';
import { deviceTableName } from '#src/program/name.js';
import type { Program } from '#src/program/program.js';
import { Contender, type ContenderOptions } from '../contender.js';
import { ATTACH_CONTENDERS } from './contenders/all.js';
import type { AttachContender } from './contenders/contender.js';
import type { Field } from './field.js';
import { writeTask } from './task.js';

/** A contender that gives the device a table of its own. */
export interface Entrant extends ContenderOptions {
  name: string;
  /** The kernel's name of the table that it makes. */
  table: string;
}

const RUNNER = fileURLToPath(new URL('./runner.js', import.meta.url));
const FLOOR = fileURLToPath(new URL('../floor', import.meta.url));

/** The same as tapwall, to see that a difference is one: its ratio must be 1. */
export const AGAIN = 'tapwall-again';

export async function compileProgram(): Promise<Program> {
  const compiler = new Compiler();
  try {
    const { program } = await compiler.compile({
      name: 'legacy',
      file: 'filtermacvtap.nft',
      text: LEGACY_FILE,
      directory: undefined,
      variables: {},
    });
    return program;
  } finally {
    compiler.close();
  }
}

/**
 * The policy's text for a contender: in a table of its own name, as every device must have one: under the file's own,
 * a device's attachment would delete that of the one before.
 */
function policyText({ file }: AttachContender, table: string): string {
  const text = LEGACY_FILE.replaceAll('filtermacvtap', table);
  return file === 'whole' ? text : text.slice(text.indexOf(`table netdev ${table} {`));
}

/** The contenders, with their files written; tapwall is first. */
function listEntrants(field: Field, program: Program, folder: string, nft: boolean): Entrant[] {
  const own = deviceTableName(field.probe.index, program.tables[0] ?? '');
  const floorFiles = { attach: join(folder, 'floor.attach'), detach: join(folder, 'floor.detach') };
  const entrantOf = (contender: AttachContender, name: string): Entrant => {
    const { title, startsNft } = contender;
    const isTapwall = contender.name === 'tapwall';
    const table = isTapwall ? own : `filtermacvtap_${name.replaceAll('-', '_')}`;
    const policyFile = join(folder, `${name}.nft`);
    const taskFile = join(folder, `${name}.task`);
    writeFileSync(policyFile, policyText(contender, table));
    writeTask(taskFile, { probe: field.probe, program, policyFile, table, floorFiles });
    const args = [RUNNER, contender.name, field.namespacePath, taskFile];
    return {
      name,
      title: name === AGAIN ? 'tapwall, a file, once more' : title,
      table,
      // nsenter is in the namespace before anything is measured, and is Node from then on.
      ...(startsNft
        ? { command: 'nsenter', args: [`--net=${field.namespacePath}`, process.execPath, ...args] }
        : { command: process.execPath, args }),
    };
  };
  const contenders = ATTACH_CONTENDERS.filter(({ startsNft }) => nft || !startsNft);
  return contenders
    .flatMap((contender) => [
      entrantOf(contender, contender.name),
      ...(contender.name === 'tapwall' ? [entrantOf(contender, AGAIN)] : []),
    ])
    .concat({
      name: 'floor',
      title: 'C, the same bytes, a file',
      table: own,
      command: FLOOR,
      args: [field.namespacePath, floorFiles.attach, floorFiles.detach],
    });
}

/** @throws Error when a contender's table does not filter as tapwall's does: it would not be the same work. */
async function checkSameWork(field: Field, started: readonly [Entrant, Contender][]): Promise<void> {
  let expected: string | undefined;
  for (const [{ name, table }, contender] of started) {
    await contender.attach();
    const text = field.readTable(table);
    expected ??= text;
    if (text === '' || text !== expected) {
      throw new Error(
        `${name} has not made the same chains and rules as tapwall:\n${text}\nnot\n${expected}`,
      );
    }
    await contender.detach();
    if (field.readTable(table) !== '') throw new Error(`${name} has not removed its table`);
  }
}

/** Starts all of them, and checks that they do the same. */
export async function startEntrants(
  field: Field,
  program: Program,
  { folder, nft }: { folder: string; nft: boolean },
): Promise<[Entrant, Contender][]> {
  const started: [Entrant, Contender][] = [];
  try {
    for (const entrant of listEntrants(field, program, folder, nft)) {
      started.push([entrant, await Contender.start(entrant)]);
    }
    await checkSameWork(field, started);
    return started;
  } catch (error) {
    for (const [, contender] of started) contender.close();
    throw error;
  }
}
