import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type AgentOptions } from '../agent/agent.js';
import type { Configuration } from '../config/configuration.js';
import { DEFAULT_NAMESPACES } from '../config/namespace.js';
import { TapwallError } from '../error.js';
import { answerHook, type HookRequest, type HookResult } from './hook.js';

const PAUSE_MS = 100;

/**
 * Does once what an agent would, for a guest that starts while none runs: brings all devices in line, tells of the guest's,
 * and leaves the filters. Several at once take turns, since the tables belong to one at a time.
 */
export async function standIn(
  configuration: Configuration,
  options: AgentOptions,
  request: HookRequest,
): Promise<HookResult> {
  const agent = await startWithin(configuration, options, request.waitMs);
  try {
    return await answerHook(agent, request);
  } finally {
    await agent.stop();
  }
}

async function startWithin(
  configuration: Configuration,
  options: AgentOptions,
  waitMs: number,
): Promise<Agent> {
  for (const end = performance.now() + waitMs; ; await sleep(PAUSE_MS)) {
    try {
      // Guests of libvirt's are in one network namespace; the others are for an agent to serve.
      return await Agent.start({ ...configuration, namespaces: DEFAULT_NAMESPACES }, options);
    } catch (error) {
      const isOwned = error instanceof TapwallError && error.code === 'OWNED_BY_OTHER';
      if (!isOwned || performance.now() >= end) throw error;
    }
  }
}
