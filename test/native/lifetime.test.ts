import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { nextMessage, openDescriptors, runChild, startWorker } from './support.js';

test('handles that were forgotten are closed with their objects', async () => {
  const { code, stdout, stderr } = await runChild('forget-handles', { flags: ['--expose-gc'] });
  assert.equal(code, 0, stderr);
  const { before, forgotten, after } = JSON.parse(stdout);
  assert.ok(forgotten > before + 100, stdout);
  assert.ok(after < before + 10, stdout);
});

test('the addon loads in several workers, and a worker that ends closes what it left open', async () => {
  const before = openDescriptors();
  const workers = Array.from({ length: 4 }, () => startWorker('leave-handles-open'));
  const ends = workers.map((worker) => once(worker, 'exit'));
  const reports = (await Promise.all(workers.map(nextMessage))) as { open: number; descriptors: number }[];
  assert.deepEqual(
    reports.map(({ open }) => open),
    [30, 30, 30, 30],
  );
  for (const { descriptors } of reports) assert.ok(descriptors >= before + 30, `${descriptors} of ${before}`);
  assert.deepEqual(await Promise.all(ends), [[0], [0], [0], [0]]);
  assert.ok(openDescriptors() < before + 10, `${openDescriptors()} of ${before}`);
});

test('a process ends with everything open', async () => {
  const { code, signal, stderr } = await runChild('leave-handles-open');
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
});
