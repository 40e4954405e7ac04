import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readListenAddress } from '#src/config/listen.js';
import { parse, refuses } from './support.js';

const REST = 'policies: {}\nbindings: []\n';
const metrics = (fields: string) => `metrics: ${fields}\n${REST}`;
const HINT = 'Write a path such as `/run/tapwall/metrics.sock`, `127.0.0.1:PORT` or `[::1]:PORT`.';

describe('metrics', () => {
  test('are off unless the configuration says where', () => {
    assert.equal(parse(REST).metrics, undefined);
    assert.equal(parse(metrics('off')).metrics, undefined);
  });

  test('on a Unix socket, for a group', () => {
    const text = metrics(
      '{ listen: /run/tapwall/metrics.sock, group: prometheus, mode: "0660", devices: 0 }',
    );
    assert.deepEqual(parse(text).metrics, {
      listen: { path: '/run/tapwall/metrics.sock' },
      group: 'prometheus',
      mode: 0o660,
      devices: 0,
    });
  });

  test('on a loopback address', () => {
    for (const [listen, host] of [
      ['127.0.0.1:9842', '127.0.0.1'],
      ['127.1.2.3:9842', '127.1.2.3'],
      ['"[::1]:9842"', '::1'],
    ]) {
      assert.deepEqual(parse(metrics(`{ listen: ${listen} }`)).metrics, {
        listen: { host, port: 9842 },
        group: undefined,
        mode: undefined,
        devices: 256,
      });
    }
  });

  test('no address is taken that others reach, and none is looked up', () => {
    const others = ' can be reached from elsewhere, and metrics are served to whoever connects';
    const proxy = `${HINT} A proxy of yours can serve them to others.`;
    refuses(metrics('{ listen: "0.0.0.0:9842" }'), `1:20+14 \`0.0.0.0\`${others} | ${proxy}`);
    refuses(metrics('{ listen: "192.0.2.1:9842" }'), `1:20+16 \`192.0.2.1\`${others} | ${proxy}`);
    refuses(metrics('{ listen: "[::]:9842" }'), `1:20+11 \`::\`${others} | ${proxy}`);
    refuses(
      metrics('{ listen: "[::ffff:127.0.0.1]:9842" }'),
      `1:20+25 \`::ffff:127.0.0.1\`${others} | ${proxy}`,
    );
    refuses(
      metrics('{ listen: "localhost:9842" }'),
      '1:20+16 `localhost` is not an IP address | Write `127.0.0.1:9842`: names are not looked up.',
    );
    refuses(metrics('{ listen: ":9842" }'), `1:20+7 \`\` is not an IP address | ${HINT}`);
    refuses(metrics('{ listen: "127.1:9842" }'), `1:20+12 \`127.1\` is not an IP address | ${HINT}`);
  });

  test('what is no address is told at its place', () => {
    refuses(metrics('{ listen: 127.0.0.1 }'), `1:20+9 \`127.0.0.1\` has no port | ${HINT}`);
    refuses(metrics('{ listen: "::1" }'), `1:20+5 \`::1\` has no port | ${HINT}`);
    refuses(metrics('{ listen: "127.0.0.1:0" }'), '1:20+13 there is no port 0: from 1 to 65535');
    refuses(metrics('{ listen: "127.0.0.1:65536" }'), '1:20+17 there is no port 65536: from 1 to 65535');
    refuses(
      metrics('{ listen: metrics.sock }'),
      `1:20+12 \`metrics.sock\` is neither an absolute path nor an address with a port | ${HINT}`,
    );
    refuses(
      metrics(`{ listen: /${'x'.repeat(107)} }`),
      '1:20+108 it has 108 bytes, 107 is the most for a socket',
    );
    refuses(metrics('{ devices: 3 }'), '1:10+14 missing key `listen` in `metrics`');
    refuses(metrics('true'), '1:10+4 expected a map, got the boolean true');
  });

  test('who may connect is said of a Unix socket alone', () => {
    refuses(
      metrics('{ listen: "127.0.0.1:9842", group: adm, mode: "0660" }'),
      '1:45+3 `group` says who may use a socket, and everybody on this host reaches `127.0.0.1:9842` | Take it out, or let `listen` be the path of a Unix socket.',
      '1:56+6 `mode` says who may use a socket, and everybody on this host reaches `127.0.0.1:9842` | Take it out, or let `listen` be the path of a Unix socket.',
    );
    refuses(
      metrics('{ listen: /run/m, mode: "0660" }'),
      '1:34+6 a mode for a group, and no group | Name the `group` whose members may read the metrics.',
    );
    refuses(
      metrics('{ listen: /run/m, mode: "0777" }'),
      '1:34+6 expected `0600` or `0660` or `0666`, got the text `0777`',
    );
  });

  test('the number of devices with series of their own has an end', () => {
    refuses(metrics('{ listen: /run/m, devices: 16385 }'), '1:37+5 from 0 to 16,384 devices');
    refuses(metrics('{ listen: /run/m, devices: -1 }'), '1:37+2 from 0 to 16,384 devices');
  });

  test('text of any kind is an address or none', () => {
    for (const text of [
      '',
      ':',
      '[]:1',
      '[:1',
      '1:2:3',
      '127.0.0.1:',
      '127.0.0.1:1e3',
      '[127.0.0.1]:80 ',
      '\0',
    ]) {
      assert.ok('flaw' in readListenAddress(text), JSON.stringify(text));
    }
  });
});
