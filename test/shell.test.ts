import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));

function sources(folder: string, ending: RegExp): { file: string; text: string }[] {
  return readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => ({
      file: join(folder, name),
      text: readFileSync(join(PROJECT, folder, name), 'utf8'),
    }));
}

function filesWith(files: readonly { file: string; text: string }[], pattern: RegExp): string[] {
  return files.filter(({ text }) => pattern.test(text)).map(({ file }) => file);
}

describe('the sources', () => {
  const typescript = sources('src', /\.ts$/);
  const cpp = sources('native/src', /\.(cc|h)$/);

  test('start programs with their arguments one by one, never through a shell', () => {
    assert.ok(typescript.length > 100 && cpp.length > 10);
    // What is imported can be called; spawn and spawnSync use no shell unless they are told to.
    const imports = typescript.flatMap(({ text }) =>
      [...text.matchAll(/import\s*(?:\{([^}]*)\}|[^;]*)\s*from 'node:child_process'/g)].map(
        ([, names]) => names ?? '*',
      ),
    );
    assert.ok(imports.length > 0);
    const names = imports.flatMap((list) => list.split(',').map((name) => name.trim().replace(/^type /, '')));
    for (const name of names) assert.match(name, /^(spawn|spawnSync|ChildProcess|)$/);
    // The first line of a hook that is written for libvirt, which starts it itself, is none of these.
    assert.deepEqual(
      filesWith(typescript, /\bshell\s*:|child_process'\)|require\(|(?<!#!)\/bin\/(ba)?sh/),
      [],
    );
    // An agent that gives rights up starts itself anew, by its own path.
    assert.deepEqual(filesWith(cpp, /\b(system|popen|execl?[vpe]*|posix_spawnp?|fork)\s*\(/), [
      'native/src/rights.cc',
    ]);
    const [rights] = cpp.filter(({ file }) => file === 'native/src/rights.cc');
    assert.doesNotMatch(rights?.text ?? '', /\b(system|popen|execl[pe]*|execvpe?|posix_spawnp?|fork)\s*\(/);
  });

  test('read nothing of /sys, where what is read may be somebody else’s', () => {
    assert.deepEqual(filesWith([...typescript, ...cpp], /['"`]\/sys\//), []);
  });
});
