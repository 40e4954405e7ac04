import assert from 'node:assert/strict';
import { it } from 'node:test';
import { pino } from 'pino';
import type { AgentEvent } from '#src/agent/event.js';
import { logEvent } from '#src/observe/log.js';

function logged(event: AgentEvent): { level: string; text: string } {
  let line = '';
  logEvent(
    pino(
      { formatters: { level: (level) => ({ level }) } },
      {
        write: (text) => {
          line = text;
        },
      },
    ),
    event,
  );
  const { level, msg } = JSON.parse(line);
  return { level, text: msg };
}

const device = { device: 'macvtap0', index: 7 };
const error = { code: 'EPERM', message: 'the kernel refused NEWTABLE t: EPERM' };

it('says of an attachment which device, which policy, how long, and what was there before', () => {
  const attached = {
    event: 'attached',
    ...device,
    policy: 'p',
    tables: [],
    inAdvance: true,
    microseconds: 91,
  } as const;
  assert.deepEqual(logged({ ...attached, replaced: false, kept: false }), {
    level: 'info',
    text: 'macvtap0 (index 7) has policy p, 91 µs',
  });
  assert.match(logged({ ...attached, replaced: true, kept: false }).text, /in place of another/);
  assert.match(logged({ ...attached, replaced: false, kept: true }).text, /already has/);
  const late = { ...attached, replaced: false, inAdvance: false };
  assert.match(logged({ ...late, kept: false }).text, /µs; it was open until then/);
  assert.doesNotMatch(logged({ ...late, kept: true }).text, /open/);
});

it('is loud about a device that nothing filters', () => {
  assert.deepEqual(logged({ event: 'unmatched', ...device, closed: false }), {
    level: 'warn',
    text: 'macvtap0 (index 7) matches no binding: it is NOT filtered',
  });
  assert.deepEqual(logged({ event: 'unmatched', ...device, closed: true }), {
    level: 'warn',
    text: 'macvtap0 (index 7) matches no binding: everything to and from it is dropped',
  });
  const failed = { event: 'failed', ...device, policy: 'p', error } as const;
  assert.equal(logged({ ...failed, closed: false }).level, 'error');
  assert.match(
    logged({ ...failed, closed: false }).text,
    /EPERM; nor could it be closed: it is as open as it was before$/,
  );
  assert.match(logged({ ...failed, closed: true }).text, /EPERM; everything to and from it is dropped$/);
});

it('tells everything else at the level it deserves', () => {
  const detached = {
    event: 'detached',
    ...device,
    reason: 'gone',
    tables: ['tapwall.7.t'],
    microseconds: 5,
  } as const;
  const cases: [AgentEvent, string, RegExp][] = [
    [detached, 'info', /\(gone\), removed tapwall\.7\.t, 5 µs/],
    [{ ...detached, tables: [] }, 'info', /detached \(gone\), 5 µs$/],
    [
      { event: 'ready', devices: 1, attached: 1, placement: 'names', microseconds: 9 },
      'info',
      /ready: placement names \(closed before .*\), 1 device, 1 filtered/,
    ],
    [{ event: 'overflow', message: 'lost' }, 'warn', /lost/],
    [{ event: 'warning', message: 'careful' }, 'warn', /careful/],
    [
      { event: 'reloaded', file: 'f', policies: 2, bindings: 3, microseconds: 4 },
      'info',
      /f: 2 policies, 3 bindings/,
    ],
    [{ event: 'reload-failed', file: 'f', error }, 'error', /f is not used, the old configuration stays/],
    [{ event: 'stopped', detached: 0 }, 'info', /filters stay/],
    [{ event: 'stopped', detached: 2 }, 'info', /2 devices detached/],
  ];
  for (const [event, level, text] of cases) {
    assert.equal(logged(event).level, level, event.event);
    assert.match(logged(event).text, text);
  }
});

it('says who changed the filters, what, and how long it took to put right', () => {
  const repaired = { event: 'repaired', tables: ['tapwall'], transactions: 2, microseconds: 812 } as const;
  const by = [{ port: 4711, processId: 4711, processName: 'nft' }];
  assert.deepEqual(logged({ ...repaired, by }), {
    level: 'warn',
    text: 'nft (process 4711, port 4711) changed tapwall: put right in 2 transactions, 812 µs',
  });
  assert.match(
    logged({ ...repaired, by: [], tables: [], transactions: 1 }).text,
    /^the filters were not what they should be: put right in 1 transaction,/,
  );
  assert.match(logged({ event: 'released' }).text, /given up/);
});

it('begins with the network namespace where there are several, whatever is in its name', () => {
  assert.deepEqual(
    logged({ event: 'namespace-ready', namespace: 'vm-1', devices: 2, attached: 1, microseconds: 9 }),
    {
      level: 'info',
      text: '[vm-1] served: 2 devices, 1 filtered, in 9 µs',
    },
  );
  assert.equal(logged({ event: 'namespace-failed', namespace: 'vm-1', error }).level, 'error');
  assert.match(
    logged({ event: 'namespace-gone', namespace: 'a\u001b[31m\nb' }).text,
    /^\[a\\u001b\[31m.*b\] no longer there/,
  );
  assert.match(logged({ event: 'warning', message: 'amiss', namespace: 'vm-1' }).text, /^\[vm-1\] amiss$/);
  assert.equal(logged({ event: 'warning', message: 'amiss' }).text, 'amiss');
});
