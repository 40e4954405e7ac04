import { setTimeout as sleep } from 'node:timers/promises';
import type { DeviceAnswer, ToldDevice } from '../agent/request.js';
import { TapwallError } from '../error.js';
import { type Domain, type DomainInterface, parseDomain } from './domain.js';
import type { HookOperation } from './operation.js';

/** What libvirt's hook tells of a guest. */
export interface HookRequest {
  guest: string;
  operation: HookOperation;
  /** The domain's XML. */
  domain: string;
  /** How long devices that are not there are waited for, in milliseconds. */
  waitMs: number;
}

export interface HookResult {
  /** Whether every device of the guest is behind its policy. */
  admitted: boolean;
  /** Why not, for whoever started the guest. */
  message: string;
}

/** What is asked of an agent. */
export interface HookAgent {
  readonly configuration: { readonly domainPolicies: readonly string[] };
  ask(request: {
    request: 'admit';
    guest: { name: string; uuid: string };
    devices: readonly ToldDevice[];
    expectMs: number;
  }): Promise<DeviceAnswer[]>;
}

/** libvirt has made the devices before it calls; what is missing then is slow, or in another network namespace. */
const PAUSE_MS = 20;

/**
 * Tells an agent which devices are a guest's, and says whether each is behind its policy. Never throws for what is wrong
 * with the guest.
 */
export async function answerHook(agent: HookAgent, request: HookRequest): Promise<HookResult> {
  // The devices are gone by then, and with them all that was theirs.
  if (request.operation === 'release') return ADMITTED;
  try {
    const domain = parseDomain(request.domain);
    if (domain.interfaces.length === 0) return ADMITTED;
    const devices = domain.interfaces.map((one) => toldDevice(one, agent.configuration.domainPolicies));
    const answers = await admit(agent, domain, devices, request.waitMs);
    const refused = answers.filter(({ filtered }) => !filtered);
    if (refused.length === 0) return ADMITTED;
    return { admitted: false, message: refused.map(wordsFor).join('; ') };
  } catch (error) {
    if (!(error instanceof TapwallError)) throw error;
    return { admitted: false, message: withHint(error) };
  }
}

const ADMITTED: HookResult = { admitted: true, message: '' };

async function admit(
  agent: HookAgent,
  { name, uuid }: Domain,
  devices: readonly ToldDevice[],
  waitMs: number,
): Promise<DeviceAnswer[]> {
  for (const end = performance.now() + waitMs; ; await sleep(PAUSE_MS)) {
    const answers = await agent.ask({
      request: 'admit',
      guest: { name, uuid },
      devices,
      expectMs: waitMs,
    });
    const isMissing = answers.some(({ state }) => state === 'absent');
    if (!isMissing || performance.now() >= end) return answers;
  }
}

/**
 * What an agent is told of an interface.
 * @throws TapwallError DOMAIN for a device without a name, POLICY_NOT_ALLOWED for a policy that is not the guest's to choose.
 */
export function toldDevice(
  { device, mac, alias, choice }: DomainInterface,
  domainPolicies: readonly string[],
): ToldDevice {
  if (device === undefined) {
    throw new TapwallError('DOMAIN', `the interface with the MAC ${mac} has no device yet`);
  }
  if (choice && !domainPolicies.includes(choice.policy)) {
    throw new TapwallError(
      'POLICY_NOT_ALLOWED',
      `the ${choice.from} of the guest asks for the policy ${choice.policy}, which is not in domain-policies`,
      { hint: 'The configuration lists the policies that a guest’s definition may ask for.' },
    );
  }
  return {
    name: device,
    mac,
    ...(alias !== undefined && { alias }),
    ...(choice && { policy: choice.policy, addresses: choice.addresses }),
  };
}

function wordsFor({ device, state, policy, reason }: DeviceAnswer): string {
  if (state === 'absent') {
    return `${device} is no macvtap device that tapwall looks at (devices.prefixes) in this network namespace`;
  }
  const what = policy === undefined ? device : `${device} cannot have the policy ${policy}`;
  return reason ? `${what}: ${withHint(reason)}` : `${what}: it is ${state}`;
}

function withHint({ message, hint }: { message: string; hint?: unknown }): string {
  return typeof hint === 'string' ? `${message}. ${hint}` : message;
}
