import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { NativeSocket } from '#src/kernel/native.js';
import {
  addon,
  attribute,
  attributes,
  be32,
  concat,
  createVeth,
  deleteLink,
  drain,
  dumpLinks,
  errorNumber,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  ifinfo,
  linkIndex,
  linkName,
  message,
  messages,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  nested,
  nftBatch,
  nftMessage,
  openSocket,
  pathOf,
  plainEnvironment,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTNLGRP_LINK,
  scratchNamespace,
  text,
  u16,
  u32,
} from './support.js';

// linux/netfilter/nf_tables.h
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWSET = 9;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_GETSETELEM = 13;
const NFT_MSG_NEWGEN = 15;
const NFT_MSG_GETGEN = 16;
const NFT_TABLE_F_OWNER = 2;
const nft = (type: number) => (10 << 8) | type;

test('transact returns the answer to a link request', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const loopback = 1;
  const answer = messages(socket.transact(message(RTM_GETLINK, NLM_F_REQUEST, 5, ifinfo(loopback))));
  assert.equal(answer.length, 1);
  const [link] = answer;
  assert.ok(link);
  assert.equal(link.type, RTM_NEWLINK);
  assert.equal(link.sequence, 5);
  assert.equal(link.portId, socket.portId);
  assert.equal(linkName(link), 'lo');
});

test('a link’s name is that in the socket’s namespace, as it is now', (t) => {
  const namespace = scratchNamespace(t);
  const socket = openSocket(t, namespace);
  createVeth(socket, 'only-here');
  const [index] = dumpLinks(socket)
    .filter((link) => linkName(link) === 'only-here')
    .map(linkIndex);
  assert.ok(index);
  assert.equal(socket.linkName(1), 'lo');
  assert.equal(socket.linkName(index), 'only-here');
  assert.equal(socket.linkName(index + 1), undefined);
  assert.equal(openSocket(t, scratchNamespace(t)).linkName(index), undefined);
  for (const wrong of [-1, 2 ** 31, 1.5, '1']) {
    assert.throws(() => socket.linkName(wrong as number), TypeError);
  }
  socket.close();
  assert.throws(() => socket.linkName(1), { code: 'EBADF', syscall: 'ioctl' });
});

test('transact returns the answers to several requests in order', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const requests = [1, 2, 3].map((sequence) => message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, sequence));
  const answers = messages(socket.transact(concat(requests)));
  assert.deepEqual(
    answers.map((answer) => [answer.type, answer.sequence, errorNumber(answer)]),
    [
      [NLMSG_ERROR, 1, 0],
      [NLMSG_ERROR, 2, 0],
      [NLMSG_ERROR, 3, 0],
    ],
  );
});

test('transact speaks to nf_tables', (t) => {
  const socket = openSocket(t, scratchNamespace(t), { protocol: NETLINK_NETFILTER });
  const [generation] = messages(socket.transact(nftMessage(NFT_MSG_GETGEN, 0, 9)));
  assert.ok(generation);
  assert.equal(generation.type, nft(NFT_MSG_NEWGEN));
  const NFTA_GEN_ID = 1;
  const NFTA_GEN_PROC_PID = 2;
  const gen = attributes(generation.payload, 4);
  assert.equal(gen.get(NFTA_GEN_ID)?.length, 4);
  assert.deepEqual(gen.get(NFTA_GEN_PROC_PID), be32(process.pid));
});

test('transact without an answer returns no bytes', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const nothing = socket.transact(message(NLMSG_NOOP, NLM_F_REQUEST, 1));
  // A Uint8Array and not a Buffer: the two compare unequal, and a Buffer's slice() is another function.
  assert.deepEqual(nothing, new Uint8Array());
});

test('the request may be a view into a larger buffer', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const request = message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 77);
  const padded = concat([new Uint8Array(8).fill(255), request, new Uint8Array(8).fill(255)]);
  for (const view of [
    padded.subarray(8, 8 + request.length),
    Buffer.from(padded).subarray(8, 8 + request.length),
  ]) {
    assert.deepEqual(
      messages(socket.transact(view)).map(({ sequence }) => sequence),
      [77],
    );
  }
});

test('a refusal comes back as the bytes the kernel sent', (t) => {
  const namespace = scratchNamespace(t);
  const route = openSocket(t, namespace);
  const netfilter = openSocket(t, namespace, { protocol: NETLINK_NETFILTER });
  const owner = openSocket(t, namespace, { protocol: NETLINK_NETFILTER });
  const NFTA_TABLE_NAME = 1;
  const NFTA_TABLE_FLAGS = 2;
  const name = attribute(NFTA_TABLE_NAME, text('owned'));

  const invalid = messages(
    route.transact(message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, ifinfo(-1 >>> 0))),
  );
  assert.deepEqual(invalid.map(errorNumber), [22]);

  const absent = messages(netfilter.transact(nftMessage(NFT_MSG_GETTABLE, NLM_F_ACK, 2, name)));
  assert.deepEqual(absent.map(errorNumber), [2]);

  const flags = attribute(NFTA_TABLE_FLAGS, be32(NFT_TABLE_F_OWNER));
  const create = nftMessage(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, 3, name, flags);
  assert.deepEqual(messages(owner.transact(nftBatch(create))).map(errorNumber), [0]);
  const remove = nftMessage(NFT_MSG_DELTABLE, NLM_F_ACK, 4, name);
  const forbidden = messages(netfilter.transact(nftBatch(remove)));
  assert.deepEqual(
    forbidden.map((answer) => [answer.sequence, errorNumber(answer)]),
    [[4, 1]],
  );
});

test('confirm says nothing of a success, and takes its answer out of the queue', (t) => {
  const socket = openSocket(t, scratchNamespace(t), { protocol: NETLINK_NETFILTER });
  const NFTA_TABLE_NAME = 1;
  const table = (flags: number, sequence: number, name: string) =>
    nftMessage(NFT_MSG_NEWTABLE, flags | NLM_F_CREATE, sequence, attribute(NFTA_TABLE_NAME, text(name)));
  assert.equal(socket.confirm(nftBatch(table(0, 3, 'a'), table(NLM_F_ACK, 4, 'b'))), undefined);
  assert.equal(socket.receive(), undefined);
});

test('confirm gives whatever is not a plain success of the last message', (t) => {
  const namespace = scratchNamespace(t);
  const socket = openSocket(t, namespace, { protocol: NETLINK_NETFILTER });
  const answers = (request: Uint8Array) =>
    messages(socket.confirm(request) ?? assert.fail('nothing was said')).map((answer) => [
      answer.sequence,
      errorNumber(answer),
    ]);
  const NFTA_TABLE_NAME = 1;
  const table = (type: number, flags: number, sequence: number, name: string) =>
    nftMessage(type, flags, sequence, attribute(NFTA_TABLE_NAME, text(name)));
  const create = table(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, 5, 'a');
  const absent = table(NFT_MSG_DELTABLE, 0, 4, 'not there');
  // The refused one first, then the one that would have gone well.
  assert.deepEqual(answers(nftBatch(absent, create)), [
    [4, 2],
    [5, 0],
  ]);
  assert.deepEqual(answers(nftBatch(table(NFT_MSG_DELTABLE, NLM_F_ACK, 6, 'not there'))), [[6, 2]]);
  // Two that ask: the first's success is not the last one's.
  const another = table(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, 7, 'b');
  assert.deepEqual(answers(nftBatch(create, another)), [
    [5, 0],
    [7, 0],
  ]);
  // None that asks has no answer.
  const silent = table(NFT_MSG_NEWTABLE, NLM_F_CREATE, 8, 'c');
  assert.deepEqual(socket.confirm(nftBatch(silent)), new Uint8Array());
  // A link request is answered with more than an acknowledgement, and all of it is given.
  const route = openSocket(t, namespace);
  const link = message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, 9, ifinfo(1));
  const told = messages(route.confirm(link) ?? assert.fail('nothing was said'));
  assert.deepEqual(
    told.map(({ type, sequence }) => [type, sequence]),
    [
      [RTM_NEWLINK, 9],
      [NLMSG_ERROR, 9],
    ],
  );
});

test('a refusal has the reason, and quotes no more than the header of the request', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const unknown = nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text('no such kind')));
  const flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
  const [refusal] = messages(socket.transact(message(RTM_NEWLINK, flags, 1, ifinfo(), unknown)));
  assert.ok(refusal);
  assert.equal(errorNumber(refusal), 95);
  assert.equal(refusal.flags & NLM_F_CAPPED, NLM_F_CAPPED);
  assert.equal(refusal.flags & NLM_F_ACK_TLVS, NLM_F_ACK_TLVS);
  const NLMSGERR_ATTR_MSG = 1;
  // The error number and the quoted header, then the attributes.
  const reason = attributes(refusal.payload, 4 + 16).get(NLMSGERR_ATTR_MSG);
  assert.match(Buffer.from(reason ?? []).toString(), /^Unknown device type/);
});

test('only a strict socket has its dump requests checked', (t) => {
  const namespace = scratchNamespace(t);
  const request = message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, ifinfo(0, 1));
  // The outcome of a dump is a number in its NLMSG_DONE.
  const outcome = (socket: NativeSocket) =>
    messages(socket.dump(request, 5000)).at(-1)?.payload.subarray(0, 4);
  assert.deepEqual(outcome(openSocket(t, namespace, { strict: false })), u32(0));
  assert.deepEqual(outcome(openSocket(t, namespace, { strict: true })), u32(-22));
});

test('dump returns all parts up to and with the end', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const names = Array.from({ length: 40 }, (_, i) => `dumped${i}`);
  for (const name of names) createVeth(socket, name);
  const answer = messages(socket.dump(message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 11, ifinfo()), 5000));
  assert.deepEqual(
    answer.map(({ type, sequence }) => `${type} ${sequence}`).filter((line) => line !== `${RTM_NEWLINK} 11`),
    [`${NLMSG_DONE} 11`],
  );
  assert.equal(answer.at(-1)?.type, NLMSG_DONE);
  const found = answer.slice(0, -1).map(linkName);
  assert.deepEqual(
    names.filter((name) => !found.includes(name)),
    [],
  );
  assert.equal(socket.receive(), undefined);
});

test('dump ends with an error that has the sequence of the request', (t) => {
  const socket = openSocket(t, scratchNamespace(t), { protocol: NETLINK_NETFILTER });
  const NFTA_SET_ELEM_LIST_TABLE = 1;
  const NFTA_SET_ELEM_LIST_SET = 2;
  const table = attribute(NFTA_SET_ELEM_LIST_TABLE, text('none'));
  const set = attribute(NFTA_SET_ELEM_LIST_SET, text('none'));
  const answer = messages(socket.dump(nftMessage(NFT_MSG_GETSETELEM, NLM_F_DUMP, 12, table, set), 5000));
  assert.deepEqual(
    answer.map((each) => [each.sequence, errorNumber(each)]),
    [[12, 2]],
  );
});

test('dump does not take the end of another request for its own', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const other = message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 100);
  // The acknowledgement of sequence 100 is all there is to read, and not what the dump waits for.
  assert.throws(() => socket.dump(concat([message(NLMSG_NOOP, NLM_F_REQUEST, 102), other]), 0), {
    code: 'ETIMEDOUT',
  });
});

test('dump that gets no answer gives up', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  assert.throws(() => socket.dump(message(NLMSG_NOOP, NLM_F_REQUEST, 1), 10), {
    code: 'ETIMEDOUT',
    errno: 110,
    syscall: 'poll',
  });
});

test('a dump that was given up leaves nothing for the next one', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  for (let i = 0; i < 40; i += 1) createVeth(socket, `late${i}`);
  const before = dumpLinks(socket).length;
  // Without time, only the first of several datagrams is read.
  assert.throws(() => socket.dump(message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, ifinfo()), 0), {
    code: 'ETIMEDOUT',
  });
  const again = messages(socket.dump(message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 2, ifinfo()), 5000));
  assert.deepEqual([...new Set(again.map(({ sequence }) => sequence))], [2]);
  assert.equal(again.length, before + 1);
});

test('a socket in a group hears of new links, and receive() takes one datagram at a time', (t) => {
  const namespace = scratchNamespace(t);
  const listener = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  const deaf = openSocket(t, namespace);
  const elsewhere = openSocket(t, scratchNamespace(t), { groups: [RTNLGRP_LINK] });
  assert.equal(listener.receive(), undefined);
  createVeth(openSocket(t, namespace), 'announced');
  const first = listener.receive();
  assert.ok(first);
  const events = [...messages(first), ...drain(listener)];
  assert.equal(messages(first).length, 1);
  assert.ok(events.some((event) => event.type === RTM_NEWLINK && linkName(event) === 'announced'));
  assert.equal(listener.receive(), undefined);
  assert.equal(deaf.receive(), undefined);
  assert.equal(elsewhere.receive(), undefined);
});

test('a socket that leaves its groups hears nothing until it joins them again', (t) => {
  const namespace = scratchNamespace(t);
  const listener = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  const route = openSocket(t, namespace);
  createVeth(route, 'queued');
  listener.listen(false);
  createVeth(route, 'unheard');
  listener.listen(true);
  createVeth(route, 'heard');
  const names = new Set(drain(listener).map(linkName));
  assert.deepEqual([names.has('queued'), names.has('unheard'), names.has('heard')], [true, false, true]);
  // Of a socket without groups there is nothing to join or to leave.
  route.listen(false);
  route.listen(true);
  assert.throws(() => listener.listen('yes' as unknown as boolean), { name: 'TypeError' });
  listener.close();
  assert.throws(() => listener.listen(true), { code: 'EBADF', syscall: 'setsockopt' });
});

/**
 * Lets a message pass if its type is `type`: struct sock_filter, linux/filter.h. BPF loads in network byte
 * order, netlink is in host order.
 */
function onlyType(type: number): Uint8Array {
  const bytes = u16(type);
  const swapped = new DataView(bytes.buffer).getUint16(0, false);
  const instruction = (code: number, jt: number, jf: number, k: number) =>
    concat([u16(code), new Uint8Array([jt, jf]), u32(k)]);
  const BPF_LD_H_ABS = 0x28;
  const BPF_JEQ_K = 0x15;
  const BPF_RET_K = 0x06;
  return concat([
    instruction(BPF_LD_H_ABS, 0, 0, 4),
    instruction(BPF_JEQ_K, 0, 1, swapped),
    instruction(BPF_RET_K, 0, 0, 0xffffffff),
    instruction(BPF_RET_K, 0, 0, 0),
  ]);
}

test('a filter keeps other messages away', (t) => {
  const namespace = scratchNamespace(t);
  const filtered = openSocket(t, namespace, { groups: [RTNLGRP_LINK], filter: onlyType(RTM_DELLINK) });
  const everything = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  const actor = openSocket(t, namespace);
  createVeth(actor, 'short-lived');
  deleteLink(actor, 'short-lived');
  const types = new Set(drain(everything).map(({ type }) => type));
  assert.ok(types.has(RTM_NEWLINK) && types.has(RTM_DELLINK));
  const kept = drain(filtered);
  assert.deepEqual([...new Set(kept.map(({ type }) => type))], [RTM_DELLINK]);
  assert.ok(kept.some((event) => linkName(event) === 'short-lived'));
});

test('a filter that the kernel finds wrong is refused', (t) => {
  const namespace = scratchNamespace(t);
  // One load and no return: runs off its end.
  const endless = concat([u16(0x28), new Uint8Array([0, 0]), u32(4)]);
  assert.throws(() => openSocket(t, namespace, { filter: endless }), {
    code: 'EINVAL',
    syscall: 'setsockopt',
    message: /SO_ATTACH_FILTER/,
  });
});

test('events that did not fit are reported once, and what came before is still there', (t) => {
  const namespace = scratchNamespace(t);
  const small = openSocket(t, namespace, { groups: [RTNLGRP_LINK], receiveBuffer: 32 * 1024 });
  const large = openSocket(t, namespace, { groups: [RTNLGRP_LINK], receiveBuffer: 8 * 1024 * 1024 });
  const actor = openSocket(t, namespace);
  for (let i = 0; i < 150; i += 1) createVeth(actor, `burst${i}`);
  assert.throws(() => small.receive(), { code: 'ENOBUFS', errno: 105, syscall: 'recvmsg' });
  const survivors = drain(small);
  assert.ok(survivors.length > 0);
  const all = drain(large);
  assert.ok(survivors.length < all.length);
  const created = new Set(all.filter(({ type }) => type === RTM_NEWLINK).map(linkName));
  for (let i = 0; i < 150; i += 1) assert.ok(created.has(`burst${i}`), `burst${i}`);
  // The loss is over: the next event arrives.
  createVeth(actor, 'afterwards');
  assert.ok(drain(small).some((event) => linkName(event) === 'afterwards'));
});

test('acknowledgements that did not fit fail the call, and do not turn up in the next answer', (t) => {
  const namespace = scratchNamespace(t);
  const socket = openSocket(t, namespace, { receiveBuffer: 1 });
  const many = Array.from({ length: 1000 }, (_, i) =>
    message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1000 + i),
  );
  assert.throws(() => socket.transact(concat(many)), { code: 'ENOBUFS', syscall: 'recvmsg' });
  const answer = messages(socket.transact(message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1)));
  assert.deepEqual(
    answer.map(({ sequence }) => sequence),
    [1],
  );
});

test('a batch of more than 2 MB is taken, and a dump of as much is returned', (t) => {
  const socket = openSocket(t, scratchNamespace(t), { protocol: NETLINK_NETFILTER });
  const table = text('large');
  const elementsPerMessage = 3500; // an attribute, and so a list of elements, ends at 64 KiB
  const batches = 50;
  const lists = Array.from({ length: batches }, (_, batch) => {
    const elements = Array.from({ length: elementsPerMessage }, (_, i) =>
      nested(1, nested(1, attribute(1, be32(batch * elementsPerMessage + i)))),
    );
    return nftMessage(
      NFT_MSG_NEWSETELEM,
      NLM_F_CREATE,
      10 + batch,
      attribute(1, table),
      attribute(2, text('numbers')),
      nested(3, ...elements),
    );
  });
  const request = nftBatch(
    nftMessage(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 1, attribute(1, table)),
    nftMessage(
      NFT_MSG_NEWSET,
      NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
      2,
      attribute(1, table),
      attribute(2, text('numbers')),
      attribute(3, be32(0)), // NFTA_SET_FLAGS
      attribute(4, be32(0)), // NFTA_SET_KEY_TYPE
      attribute(5, be32(4)), // NFTA_SET_KEY_LEN
      // NFTA_SET_DESC with NFTA_SET_DESC_SIZE: a set of unknown size grows for a while after the commit, and
      // a dump that meets that repeats some elements in place of others.
      nested(9, attribute(1, be32(batches * elementsPerMessage))),
      attribute(10, be32(1)), // NFTA_SET_ID
    ),
    ...lists,
  );
  assert.ok(request.length > 2 * 1024 * 1024, `${request.length}`);
  assert.deepEqual(
    messages(socket.transact(request)).map((answer) => [answer.sequence, errorNumber(answer)]),
    [
      [1, 0],
      [2, 0],
    ],
  );
  const dump = nftMessage(
    NFT_MSG_GETSETELEM,
    NLM_F_DUMP,
    3,
    attribute(1, table),
    attribute(2, text('numbers')),
  );
  const answer = socket.dump(dump, 30_000);
  assert.ok(answer.length > 2 * 1024 * 1024, `${answer.length}`);
  const seen = new Set<number>();
  for (const part of messages(answer)) {
    if (part.type === NLMSG_DONE) continue;
    const list = attributes(part.payload, 4).get(3) ?? new Uint8Array();
    const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
    // Each element is { list 4, key 4, data 4, value 4 } bytes here.
    for (let at = 12; at < list.length; at += 16) seen.add(view.getUint32(at, false));
  }
  assert.equal(seen.size, batches * elementsPerMessage);
});

test('a datagram from another process is dropped', (t) => {
  const namespace = scratchNamespace(t);
  const socket = openSocket(t, namespace);
  // A message that looks like the end of a dump, from a socket that is not the kernel's.
  const forged = message(NLMSG_DONE, 0, 55, u32(0));
  const perl = `
    socket(my $socket, 16, 3, ${NETLINK_ROUTE}) or die "socket: $!";
    my $sent = send($socket, pack("H*", $ARGV[0]), 0, pack("S S L L", 16, 0, $ARGV[1], 0));
    die "send: $!" unless defined $sent;
    print $sent;`;
  const sent = execFileSync(
    'nsenter',
    [
      `--net=${pathOf(namespace)}`,
      'perl',
      '-e',
      perl,
      Buffer.from(forged).toString('hex'),
      `${socket.portId}`,
    ],
    { env: plainEnvironment(), encoding: 'utf8' },
  );
  assert.equal(Number(sent), forged.length);
  // It is queued now, in front of the kernel's own answer.
  assert.deepEqual(
    messages(socket.transact(message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 56))).map(
      ({ sequence }) => sequence,
    ),
    [56],
  );
});

test('each socket has a port of its own, and the kernel answers to it', (t) => {
  const namespace = scratchNamespace(t);
  const sockets = [openSocket(t, namespace), openSocket(t, namespace), openSocket(t, namespace)];
  assert.equal(new Set(sockets.map(({ portId }) => portId)).size, 3);
  for (const socket of sockets) {
    const [answer] = messages(socket.transact(message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1)));
    assert.equal(answer?.portId, socket.portId);
  }
});

test('the descriptor is not inherited by other programs', (t) => {
  const { fd } = openSocket(t, scratchNamespace(t));
  const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  const O_CLOEXEC = 0o2000000;
  assert.equal(Number.parseInt(flags, 8) & O_CLOEXEC, O_CLOEXEC);
});

test('a protocol or a group that the kernel does not have is an error', (t) => {
  const namespace = scratchNamespace(t);
  assert.throws(() => openSocket(t, namespace, { protocol: 1000 }), {
    code: 'EPROTONOSUPPORT',
    syscall: 'socket',
  });
  assert.throws(() => openSocket(t, namespace, { groups: [100_000] }), {
    code: 'EINVAL',
    syscall: 'setsockopt',
    message: /NETLINK_ADD_MEMBERSHIP/,
  });
});

test('a closed socket refuses everything but another close', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const { portId } = socket;
  const request = message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1);
  socket.close();
  socket.close();
  assert.throws(() => socket.transact(request), { code: 'EBADF', errno: 9, syscall: 'sendto' });
  assert.throws(() => socket.dump(request, 0), { code: 'EBADF', syscall: 'sendto' });
  assert.throws(() => socket.receive(), { code: 'EBADF', syscall: 'recvmsg' });
  assert.throws(() => socket.fd, { code: 'EBADF' });
  assert.throws(() => addon.wait([socket], -1, 0), { code: 'EBADF', syscall: 'poll' });
  assert.equal(socket.portId, portId);
});

test('links keep the index they were given', (t) => {
  const namespace = scratchNamespace(t);
  const socket = openSocket(t, namespace);
  createVeth(socket, 'indexed');
  const link = dumpLinks(socket).find((each) => linkName(each) === 'indexed');
  assert.ok(link);
  const [same] = messages(socket.transact(message(RTM_GETLINK, NLM_F_REQUEST, 1, ifinfo(linkIndex(link)))));
  assert.ok(same);
  assert.equal(linkName(same), 'indexed');
});
