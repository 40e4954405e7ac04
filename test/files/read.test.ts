import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LARGEST_FILE, readUserFile, Unreadable } from '#src/files/read.js';
import { type Doubt, refuseDoubts } from '#src/files/trust.js';

const SOMEBODY = 4711;
const NOBODY = 65534;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapwall-test-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function put(name: string, mode = 0o644): string {
  const path = join(folder, name);
  writeFileSync(path, name);
  chmodSync(path, mode);
  return path;
}

function makeFolder(name: string, mode: number): string {
  const path = join(folder, name);
  mkdirSync(path);
  chmodSync(path, mode);
  return path;
}

/** Each doubt as `PART REASON`, without the folder of the test. */
function doubts(file: string): string[] {
  const found: Doubt[] = [];
  readUserFile(file, (doubt) => found.push(doubt));
  for (const { remedy } of found) assert.match(remedy, /: ch(mod|own) /);
  return found.map(({ part, reason }) => `${part.replace(`${folder}/`, '')} ${reason}`);
}

describe('a file of the user’s', () => {
  test('is read whole when nobody else can write it', () => {
    const file = put('good');
    assert.equal(readUserFile(file, refuseDoubts).toString(), 'good');
    assert.deepEqual(doubts(file), []);
    const below = join(makeFolder('closed', 0o755), 'file');
    writeFileSync(below, '');
    symlinkSync('closed/../closed', join(folder, 'link'));
    assert.deepEqual(doubts(join(folder, 'link/file')), []);
  });

  test('is doubted when its group or others can write it', () => {
    assert.deepEqual(doubts(put('group', 0o664)), ['group can be written by others (mode 0664)']);
    assert.deepEqual(doubts(put('others', 0o602)), ['others can be written by others (mode 0602)']);
  });

  test('is doubted when it belongs to somebody else, but not when it is one’s own', () => {
    const file = put('theirs');
    chownSync(file, SOMEBODY, SOMEBODY);
    assert.deepEqual(doubts(file), [`theirs belongs to user ${SOMEBODY}`]);
    chmodSync(folder, 0o711);
    chownSync(file, NOBODY, NOBODY);
    process.seteuid?.(NOBODY);
    try {
      assert.deepEqual(
        doubts(file).filter((doubt) => doubt.startsWith('theirs')),
        [],
      );
    } finally {
      process.seteuid?.(0);
    }
  });

  test('is doubted when a folder on its way can be written by others, or is theirs', () => {
    const open = makeFolder('open', 0o777);
    mkdirSync(join(open, 'inner'));
    writeFileSync(join(open, 'inner/file'), '');
    assert.deepEqual(doubts(join(open, 'inner/file')), ['open can be written by others (mode 0777)']);
    const theirs = makeFolder('their-folder', 0o755);
    writeFileSync(join(theirs, 'file'), '');
    chownSync(theirs, SOMEBODY, SOMEBODY);
    assert.deepEqual(doubts(join(theirs, 'file')), [`their-folder belongs to user ${SOMEBODY}`]);
  });

  test('is trusted in a sticky folder, if it is one’s own', () => {
    const sticky = makeFolder('sticky', 0o1777);
    const file = join(sticky, 'file');
    writeFileSync(file, '');
    assert.deepEqual(doubts(file), []);
    chownSync(file, SOMEBODY, SOMEBODY);
    assert.deepEqual(doubts(file), [`sticky/file belongs to user ${SOMEBODY}`]);
  });

  test('is doubted behind a symbolic link that somebody else has made where anybody can', () => {
    const target = put('target');
    const link = join(makeFolder('like-tmp', 0o1777), 'link');
    symlinkSync(target, link);
    assert.deepEqual(doubts(link), []);
    lchownSync(link, SOMEBODY, SOMEBODY);
    assert.deepEqual(doubts(link), [`like-tmp/link is a symbolic link that belongs to user ${SOMEBODY}`]);
    // A link leads to a file that is doubted for itself.
    symlinkSync(put('writable', 0o666), join(folder, 'to-writable'));
    assert.deepEqual(doubts(join(folder, 'to-writable')), ['writable can be written by others (mode 0666)']);
  });

  test('is refused with what to do about it', () => {
    const file = put('refused', 0o666);
    assert.throws(() => readUserFile(file, refuseDoubts), {
      code: 'UNTRUSTED_FILE',
      message: `not used, since others decide what it says: ${file} can be written by others (mode 0666)`,
      hint: `Take that away from them: chmod go-w ${file}`,
    });
  });
});

describe('what is no ordinary file', () => {
  const refusal = (file: string, message: string) =>
    assert.throws(
      () => readUserFile(file, () => undefined),
      (error) => error instanceof Unreadable && error.message === message,
    );

  test('is not opened: a pipe that nobody writes to, a device, a socket of the kernel’s', () => {
    const pipe = join(folder, 'pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    refusal(pipe, 'it is no ordinary file');
    refusal('/dev/zero', 'it is no ordinary file');
    refusal('/dev/tty', 'it is no ordinary file');
    refusal(folder, 'it is a folder');
  });

  test('is not read beyond 16 MiB, whatever its size says', () => {
    const sparse = put('sparse');
    truncateSync(sparse, 2 ** 40);
    refusal(sparse, 'it is larger than 16 MiB');
    const most = put('most');
    truncateSync(most, LARGEST_FILE);
    assert.equal(readUserFile(most, refuseDoubts).length, LARGEST_FILE);
    // Its size is said to be 0.
    assert.match(readUserFile('/proc/self/status', () => undefined).toString(), /^Name:/);
  });
});
