import { TapwallError } from '../error.js';
import { CompilerProcess } from './process.js';

/**
 * A listing takes milliseconds of the processor; one that takes this long is caught in a loop. The other limit is for a host
 * that is so busy that it does not come to that.
 */
const LIMITS = { processorLimitMs: 300, timeLimitMs: 5_000 };

/**
 * What libnftables does with a chain on a name prefix: `listed`; `hung` (it had to be killed); `crashed`;
 * `garbled` (it left the prefix away); `unknown` where the kernel has no such chains.
 */
export type ListingOutcome = 'listed' | 'hung' | 'crashed' | 'garbled' | 'unknown';

/** Tries it in a child process, which may be lost over it. */
export async function probeListing(): Promise<ListingOutcome> {
  const child = new CompilerProcess(LIMITS);
  try {
    const { status } = await child.run({ id: 1, kind: 'list-prefix' });
    if (status === 'listed') return 'listed';
    return status === 'not-listed' ? 'garbled' : 'unknown';
  } catch (error) {
    if (!(error instanceof TapwallError)) throw error;
    return error.code === 'COMPILER_TIMEOUT' ? 'hung' : 'crashed';
  } finally {
    child.close();
  }
}
