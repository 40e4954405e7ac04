import { readFileSync } from 'node:fs';
import { loadConfiguration } from '../config/load.js';
import type { HookResult } from '../libvirt/hook.js';
import { HOOK_OPERATIONS, type HookOperation } from '../libvirt/operation.js';
import { standIn } from '../libvirt/stand-in.js';
import { inNamespace } from './options.js';

interface Options {
  config: string;
  namespace?: string;
  timeout: number;
}

/** How much sooner than the hook it gives up, so that its own words are heard. */
const MARGIN_MS = 1_000;

/** Standard input holds the domain's XML. */
export function runStandIn(guest: string, operation: string, options: Options): Promise<HookResult> {
  const domain = readFileSync(0, 'utf8');
  const known = HOOK_OPERATIONS.find((one) => one === operation);
  if (known === undefined) return Promise.resolve({ admitted: true, message: '' });
  return inNamespace(options.namespace, (_kernel, namespace) => {
    const request: { operation: HookOperation; guest: string; domain: string; waitMs: number } = {
      guest,
      operation: known,
      domain,
      waitMs: Math.max(options.timeout - MARGIN_MS, 0),
    };
    return standIn(loadConfiguration(options.config), namespace ? { namespace } : {}, request);
  });
}
