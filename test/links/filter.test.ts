import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { macvtapFilter } from '#src/links/filter.js';
import { deleteLink, renameLink, setLinkUp } from '#src/links/request.js';
import { drain, Host } from './host.js';

const BRIDGE_MODE = 4;

let host: Host;
let parent: number;
before(() => {
  host = new Host();
  parent = host.add({ name: 'up0', kind: 'veth' });
});
after(() => host.close());

/** What a filtered and an unfiltered socket are told while something happens. */
function watched(action: () => void): { filtered: string[]; all: string[] } {
  const filtered = host.watch(macvtapFilter());
  const all = host.watch();
  action();
  const words = (socket: typeof all) =>
    drain(socket).map(({ type, link }) => `${type} ${link.kind} ${link.name}`);
  const result = { filtered: words(filtered), all: words(all) };
  filtered.close();
  all.close();
  return result;
}

test('every event of a macvtap device passes: made, up, renamed, gone', () => {
  let index = 0;
  const { filtered, all } = watched(() => {
    index = host.add({ name: 'macvtap0', kind: 'macvtap', parentIndex: parent, mode: BRIDGE_MODE });
    host.route.request(setLinkUp(parent), 'up');
    host.route.request(setLinkUp(index), 'up');
    host.route.request(renameLink(index, 'web-1'), 'rename');
    host.route.request(deleteLink(index), 'delete');
  });
  assert.deepEqual(
    filtered,
    all.filter((words) => words.includes(' macvtap ')),
  );
  assert.deepEqual([filtered[0], filtered.at(-1)], ['new macvtap macvtap0', 'gone macvtap web-1']);
  // The parent's events came to the other socket only.
  assert.ok(all.includes('new veth up0'));
});

for (const kind of ['macvlan', 'veth', 'bridge']) {
  test(`no event of a ${kind} device passes`, () => {
    const { filtered, all } = watched(() => {
      // A name like that of a macvtap device is not what counts.
      const index = host.add({
        name: 'macvtap7',
        kind,
        ...(kind === 'macvlan' ? { parentIndex: parent } : {}),
      });
      host.route.request(setLinkUp(index), 'up');
      host.route.request(deleteLink(index), 'delete');
    });
    assert.deepEqual(filtered, []);
    assert.ok(all.includes(`new ${kind} macvtap7`) && all.includes(`gone ${kind} macvtap7`));
  });
}

test('no event of a link without a kind passes', () => {
  const { filtered, all } = watched(() => host.route.request(setLinkUp(1), 'up'));
  assert.deepEqual(filtered, []);
  assert.ok(all.length > 0 && all.every((words) => words === 'new undefined lo'));
});

test('the filter lets macvtap through among many others', () => {
  const { filtered } = watched(() => {
    for (let number = 0; number < 20; number++) {
      host.add({ name: `other${number}`, kind: 'veth' });
      if (number % 5 === 0) host.add({ name: `macvtap${number}`, kind: 'macvtap', parentIndex: parent });
    }
  });
  assert.deepEqual(
    filtered,
    [0, 5, 10, 15].map((number) => `new macvtap macvtap${number}`),
  );
});
