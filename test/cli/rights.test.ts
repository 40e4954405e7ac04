import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { furtherRights } from '#src/cli/rights.js';
import { withFiles } from '../support/agent.js';

test('what a configuration may need beyond the usual is known by its text', async () => {
  const texts: [text: string, rights: string[]][] = [
    ['policies: {}\n', []],
    ['namespaces: [self, /run/netns/vm*]\n', []],
    ['namespaces: [/proc/42/ns/net]\n', ['CAP_SYS_PTRACE']],
    ['metrics: { listen: "127.0.0.1:9750" }\n', []],
    ['metrics: { listen: /run/tapwall/metrics.sock }\n', []],
    ['metrics: { listen: "127.0.0.1:80" }\n', ['CAP_NET_BIND_SERVICE']],
    ['metrics:\n  listen: 127.0.0.1:443\n', ['CAP_NET_BIND_SERVICE']],
  ];
  for (const [text, rights] of texts) {
    await withFiles({ 'tapwall.yaml': text }, async (folder) => {
      assert.deepEqual(furtherRights({ config: join(folder, 'tapwall.yaml') }), rights, text);
    });
  }
  assert.deepEqual(furtherRights({ config: '/nowhere' }), []);
  assert.deepEqual(furtherRights({ config: '/nowhere', namespace: '/proc/1/ns/net' }), ['CAP_SYS_PTRACE']);
});
