/** The completions, with the shell itself. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/package/completions.mjs', import.meta.url));

function completed(completions: string, ...words: string[]): string[] {
  const program = `${completions}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_tapwall 2>/dev/null
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = spawnSync('bash', ['-c', program, 'bash', ...words], { encoding: 'utf8' });
  return stdout.split('\n').filter((word) => word !== '');
}

describe('completions', () => {
  it('of bash are words of the commands', () => {
    const text = execFileSync(process.execPath, [SCRIPT, 'bash'], { encoding: 'utf8' });
    assert.equal(spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' }).stderr, '');
    assert.deepEqual(completed(text, 'tapwall', 'att'), ['attach']);
    assert.ok(completed(text, 'tapwall', 'run', '--').includes('--config'));
    assert.deepEqual(completed(text, 'tapwall', 'run', '--without', ''), ['egress']);
  });

  it('of zsh name every command', () => {
    const text = execFileSync(process.execPath, [SCRIPT, 'zsh'], { encoding: 'utf8' });
    assert.match(text, /^#compdef tapwall\n/);
    for (const name of ['run', 'attach', 'detach', 'doctor']) {
      assert.match(text, new RegExp(`^_tapwall_${name}\\(\\) \\{$`, 'm'));
    }
  });
});
