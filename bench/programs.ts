import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this file, compiled; sources in C are beside it in the package. */
const COMPILED = fileURLToPath(new URL('.', import.meta.url));
const SOURCES = join(COMPILED, '..', 'bench');

const FLAGS = ['-std=c11', '-O2', '-pthread', '-Wall', '-Wextra', '-Wpedantic', '-Werror'];

/** Programs in C that a benchmark needs: the floor, observers, and those that make traffic. */
export type CProgram = 'floor' | 'event/observer' | 'leak/flooder' | 'packet/pump';

function words(command: string, args: readonly string[]): string[] {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  return stdout.trim().split(/\s+/);
}

function isNewer(program: string, source: string): boolean {
  return existsSync(program) && statSync(program).mtimeMs >= statSync(source).mtimeMs;
}

/**
 * Compiles a program where that has not been done since its source changed.
 * @throws Error with what the compiler says.
 */
export function compileProgram(name: CProgram): void {
  const program = join(COMPILED, name);
  const source = join(SOURCES, `${name}.c`);
  if (isNewer(program, source)) return;
  mkdirSync(dirname(program), { recursive: true });
  const libraries = words('pkg-config', ['--cflags', '--libs', 'libmnl']);
  words(process.env['CC'] ?? 'cc', [...FLAGS, '-o', program, source, ...libraries]);
}

/** Why programs in C can't be compiled here; undefined if they can. */
export function missingCompiler(names: readonly CProgram[]): string | undefined {
  try {
    for (const name of names) compileProgram(name);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
