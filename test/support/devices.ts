import { statusIn } from '#src/agent/status.js';
import type { Lab } from '#src/demo/lab.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { IFLA_NET_NS_FD } from '#src/links/constants.js';
import { renameLink } from '#src/links/request.js';
import { leaf } from '#src/netlink/attribute.js';
import { host32 } from '#src/netlink/bytes.js';
import { kernel } from './host.js';

/** A line for each device of a host: its name, its state, its policy. */
export function deviceStates({ namespace }: { namespace: NamespaceHandle }): string[] {
  return statusIn(kernel, namespace).devices.map(
    ({ device, state, policy = '-' }) => `${device} ${state} ${policy}`,
  );
}

/** Moves a link to another network namespace, where it is down. */
export function moveLink({ route }: Pick<Lab['host'], 'route'>, index: number, to: NamespaceHandle): void {
  const attributes = [leaf(IFLA_NET_NS_FD, host32(to.fd))];
  route.request({ ...renameLink(index, ''), attributes }, 'the move');
}
