import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { processorTimeMs } from '#src/compiler/processor-time.js';
import { until } from '../support/station.js';

/** The first thread sleeps, as the compiler's does while libnftables is at work. */
const BUSY = `
  new (require('node:worker_threads').Worker)('for (;;);', { eval: true });
  process.stdout.write('busy');
`;
/** More than Node takes to start. */
const MUCH_MS = 2_000;

test('the time of a process is that of all its threads', async () => {
  const child = spawn(process.execPath, ['-e', BUSY], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    const pid = child.pid ?? 0;
    const start = processorTimeMs(pid) ?? assert.fail('the kernel told no time');
    await until('a busy thread counts', () => (processorTimeMs(pid) ?? 0) - start > MUCH_MS);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  assert.equal(processorTimeMs(child.pid ?? 0), undefined, 'a process that is gone has none');
});
