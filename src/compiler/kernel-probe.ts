import type { Kernel } from '../kernel/kernel.js';
import { canMakeNamespaces } from '../kernel/privilege.js';
import { type KernelCapabilities, probeKernel } from '../kernel/probe.js';
import { CompilerProcess } from './process.js';
import type { ProbeAnswer } from './protocol.js';

/**
 * What the kernel can do; where this process may not make network namespaces it is tried in the compiler's, which makes
 * them in a user namespace.
 * @throws TapwallError where that may not be made either.
 */
export async function probeAnywhere(kernel: Kernel): Promise<KernelCapabilities> {
  if (canMakeNamespaces()) return probeKernel(kernel);
  const child = new CompilerProcess();
  try {
    return ((await child.run({ id: 1, kind: 'probe' })) as ProbeAnswer).capabilities;
  } finally {
    child.close();
  }
}
