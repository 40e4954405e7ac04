import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import { NETLINK_NETFILTER } from '../netlink/constants.js';
import { NFT_MSG_GETTABLE } from '../nftables/constants.js';
import { dumpRequest } from '../nftables/message.js';
import { parseRuleset } from '../nftables/ruleset.js';
import { SHARED_TABLE } from '../program/blueprint.js';
import { parseDeviceTableName } from '../program/name.js';
import { parseRecord } from '../program/record.js';
import { CompilerProcess } from './process.js';

/** Thousands of devices take a second to print. */
const TIME_LIMIT_MS = 30_000;

/** The network namespace a process is in, by a path that its children can open too. */
const OWN_NAMESPACE = '/proc/self/ns/net';

/**
 * tapwall's tables as nft prints them. libnftables does it in a child process, since an old one may loop for ever.
 * @throws TapwallError COMPILER_TIMEOUT when it did.
 */
export async function listTables(
  kernel: Kernel,
  namespace: NamespaceHandle | undefined,
  timeLimitMs = TIME_LIMIT_MS,
): Promise<string> {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  let tables: string[];
  try {
    const messages = netfilter.dump(dumpRequest(NFT_MSG_GETTABLE), 'the dump of the tables');
    tables = parseRuleset(messages)
      .tables.filter(
        ({ name, userdata }) =>
          name === SHARED_TABLE ||
          (parseDeviceTableName(name) !== undefined && parseRecord(userdata) !== undefined),
      )
      .map(({ name }) => name);
  } finally {
    netfilter.close();
  }
  if (tables.length === 0) return '';
  const child = new CompilerProcess({ timeLimitMs });
  try {
    const path = namespace?.path ?? OWN_NAMESPACE;
    const answer = await child.run({ id: 1, kind: 'list-tables', namespace: path, tables });
    if (answer.status === 'printed') return answer.text;
    throw new TapwallError('NOT_SUPPORTED', `libnftables cannot list tapwall's tables`);
  } catch (error) {
    if (!(error instanceof TapwallError) || error.code !== 'COMPILER_TIMEOUT') throw error;
    throw new TapwallError('COMPILER_TIMEOUT', "libnftables did not come to an end over tapwall's tables", {
      cause: error,
      hint: 'Releases before 1.1.6 loop for ever on hooks by name prefix: see tapwall doctor; tapwall list needs none.',
    });
  } finally {
    child.close();
  }
}
