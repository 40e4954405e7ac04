import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { AgentEvent } from './event.js';
import type { NamespaceState } from './fleet.js';
import type { NamespaceFinder } from './namespace-finder.js';
import type { Tally } from './tally.js';

/** What a fleet works with. */
export interface FleetOptions {
  kernel: Kernel;
  /** The agent's own namespace; absent for that of the process. */
  own?: NamespaceHandle | undefined;
  /** The descriptor of a waker that ends a wait. */
  wakerFd: number;
  /** Called with each event, in the thread of the loops. It must not throw. */
  emit(event: AgentEvent): void;
  /** Called when a namespace comes, goes or fails, before the event that says so. */
  onChange?: (state: NamespaceState, isGone: boolean) => void;
  /** Counts what all loops do together; absent where nobody wants to know. */
  tally?: Tally | undefined;
  /** Looks for namespaces; absent for those of the machine. */
  find?: NamespaceFinder;
  /** Milliseconds of a clock that never goes back; absent for the process's own. */
  now?: () => number;
}
