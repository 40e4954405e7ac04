import { readUserFile } from '../files/read.js';
import { type Capability, giveUpOthers } from '../kernel/privilege.js';

/**
 * What an agent needs: nf_tables and links; network namespaces, of others and to compile and compare in; the group of a socket.
 * Its files are root's, or everybody's to read, so none is needed to read them.
 */
const RIGHTS: readonly Capability[] = ['CAP_CHOWN', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN'];

/**
 * Gives up for good what an agent does not need, by starting the program anew, in the same process. So this comes before the
 * agent's modules are loaded.
 * @returns what went wrong: an agent with too many rights filters all the same.
 */
export function giveUpRights(options: {
  config: string;
  namespace?: string | undefined;
}): string | undefined {
  try {
    giveUpOthers([...RIGHTS, ...furtherRights(options)]);
    return undefined;
  } catch (error) {
    return `rights that are not needed could not be given up: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/**
 * What a configuration may need beyond that: CAP_SYS_PTRACE for a network namespace that is named by a process,
 * /proc/PID/ns/net (proc(5)), CAP_NET_BIND_SERVICE for metrics on a port below 1024 (ip(7)). By what its text holds, for
 * whoever understands it is loaded later; at worst it keeps one of the two that it does not need.
 */
export function furtherRights({
  config,
  namespace = '',
}: {
  config: string;
  namespace?: string | undefined;
}): Capability[] {
  const text = textOf(config);
  const further: Capability[] = [];
  if (namespace.startsWith('/proc/') || text.includes('/proc/')) further.push('CAP_SYS_PTRACE');
  if (/\blisten\b.*:\d{1,3}\b/.test(text)) further.push('CAP_NET_BIND_SERVICE');
  return further;
}

/** What is wrong with the file, or with whoever else can write it, is told by who loads it. */
function textOf(file: string): string {
  try {
    return readUserFile(file, () => undefined).toString('utf8');
  } catch {
    return '';
  }
}
