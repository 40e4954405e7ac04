/** Where the log goes: to people, or to what collects logs. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { logEvent, structuredLog } from '#src/observe/log.js';
import { withFiles } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { MAIN } from '../support/run.js';
import { until } from '../support/station.js';

const event: AgentEvent = { event: 'overflow', message: 'link events were lost' };

/** What it says until it is ready and has been told to end. */
async function heard(child: ChildProcess, output: 'stdout' | 'stderr'): Promise<string> {
  let text = '';
  child[output]?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  const closed = once(child, 'close');
  await until('it is ready', () => /ready: /.test(text));
  if (child.stdin) child.stdin.write('\x03');
  else child.kill('SIGTERM');
  await closed;
  return text;
}

it('is a JSON object a line where nobody looks: level, time, words, and the event itself', () => {
  const lines: string[] = [];
  logEvent(structuredLog({ write: (line) => lines.push(line) }), event);
  assert.equal(lines.length, 1);
  const { time, ...rest } = JSON.parse(lines[0] ?? '');
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(rest, { level: 'warn', pid: process.pid, event, msg: 'link events were lost' });
});

it('is words on a terminal, and JSON on a pipe', async () => {
  await withFiles({}, (folder) =>
    withLab(async (lab) => {
      const yaml = join(folder, 'tapwall.yaml');
      writeFileSync(
        yaml,
        'policies: { p: { default: drop } }\nbindings: [{ device: "macvtap*", policy: p }]\ncontrol: off\n',
      );
      const run = [process.execPath, MAIN, 'run', '--config', yaml, '--namespace', lab.namespacePath];
      const [program = '', ...args] = run;
      const piped = await heard(spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] }), 'stderr');
      const [first = ''] = piped.split('\n');
      const entry = JSON.parse(first) as { level: string; msg: string; event: AgentEvent };
      assert.equal(entry.level, 'info');
      assert.equal(entry.event.event, 'ready');
      assert.match(entry.msg, /^ready: placement /);
      // script(1) gives it a terminal, on which ^C interrupts it.
      const typed = await heard(spawn('script', ['-qec', run.join(' '), '/dev/null']), 'stdout');
      assert.match(typed, /INFO.*ready: placement /);
      assert.doesNotMatch(typed, /"level"|"event"/);
    }),
  );
});
