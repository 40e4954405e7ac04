import { once } from 'node:events';
import { statSync } from 'node:fs';
import type { Agent } from '../agent/agent.js';
import type { AgentEvent } from '../agent/event.js';
import type { AgentRequest, DeviceAnswer, DeviceSelector } from '../agent/request.js';
import { statusIn } from '../agent/status.js';
import { TapwallError } from '../error.js';
import type { NamespaceHandle } from '../kernel/kernel.js';
import { linuxKernel } from '../kernel/linux.js';
import type { HookResult } from '../libvirt/hook.js';
import { VERSION } from '../version.js';
import { describePolicies } from './policies.js';
import {
  type AdmitResult,
  type ControlRequest,
  DEFAULT_WAIT_MS,
  type HelloResult,
  type ListResult,
  MOST_RECENT,
  PROTOCOL_VERSION,
  type StatusResult,
} from './protocol.js';
import type { Handler, Session } from './session.js';

export interface DeskOptions {
  /** Where the agent's devices are; absent for the namespace of the process. */
  namespace?: NamespaceHandle | undefined;
  /** What the namespace is called, for those who ask for it by name. */
  namespaceName?: string | undefined;
  /** Reads the configuration again and puts it in force. */
  reload: () => Promise<void>;
}

type RequestOf<Name extends ControlRequest['request']> = ControlRequest & { request: Name };

/** Does what clients ask of an agent. */
export class ControlDesk implements Handler {
  readonly #options: DeskOptions;
  readonly #started = performance.now();
  readonly #agent: Promise<Agent>;
  #settle: (agent: Agent | TapwallError) => void = () => undefined;
  #clients: () => number = () => 0;
  /** The last events, as JSON. */
  readonly #recent: string[] = [];
  readonly #followers = new Set<(json: string) => void>();

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#agent = new Promise((resolve, reject) => {
      this.#settle = (agent) => (agent instanceof TapwallError ? reject(agent) : resolve(agent));
    });
    // Nobody may have asked.
    this.#agent.catch(() => undefined);
  }

  /** What was asked until now, and waits, is for this agent. */
  serve(agent: Agent, clients: () => number): void {
    this.#clients = clients;
    agent.on('event', (event) => this.tell(event));
    this.#settle(agent);
  }

  /** Tells whoever asks for events of one that is not the agent's own. */
  tell(event: AgentEvent): void {
    const json = JSON.stringify(event);
    this.#recent.push(json);
    if (this.#recent.length > MOST_RECENT) this.#recent.shift();
    for (const send of this.#followers) send(json);
  }

  /** There will be no agent. */
  refuse(error: TapwallError): void {
    this.#settle(error);
  }

  async handle(request: ControlRequest, session: Session, signal: AbortSignal): Promise<unknown> {
    this.#checkNamespace(request.namespace);
    if (request.request === 'hello') return this.#hello();
    const agent = await this.#agent;
    switch (request.request) {
      case 'status':
        return await this.#status(agent);
      case 'devices':
        return { devices: await agent.ask({ request: 'devices' }) };
      case 'list':
        return this.#list();
      case 'counters':
        return this.#counters(request);
      case 'events':
        return await this.#events(request, session, signal);
      case 'policy':
        return describePolicies(agent.configuration, agent.plan, request.policy);
      case 'reload':
        await this.#options.reload();
        return { file: agent.configuration.file };
      case 'release':
        await agent.release();
        return {};
      case 'admit':
        checkDefinition(agent, request);
        return await admitThrough(agent, request, signal);
      case 'libvirt':
        return await answerLibvirt(agent, request);
      case 'quarantine':
      case 'unquarantine':
        return await quarantine(agent, request.device, request.request === 'quarantine');
    }
  }

  #checkNamespace(asked: string | undefined): void {
    const { namespaceName } = this.#options;
    if (asked === undefined || asked === namespaceName || asked === this.#inode()) return;
    throw new TapwallError('NAMESPACE_NOT_FOUND', `this agent does not serve the network namespace ${asked}`);
  }

  #hello(): HelloResult {
    const { namespaceName = null } = this.#options;
    return {
      tapwall: VERSION,
      versions: [PROTOCOL_VERSION],
      pid: process.pid,
      namespaces: [{ name: namespaceName, inode: this.#inode() }],
    };
  }

  #inode(): string {
    const { namespace } = this.#options;
    return String(namespace?.inode ?? statSync('/proc/self/ns/net', { bigint: true }).ino);
  }

  async #status(agent: Agent): Promise<StatusResult> {
    const { configuration, plan } = agent;
    const devices: Record<string, number> = {};
    for (const { state } of await agent.ask({ request: 'devices' }))
      devices[state] = (devices[state] ?? 0) + 1;
    return {
      tapwall: VERSION,
      pid: process.pid,
      file: configuration.file,
      placement: plan.placement,
      ownership: agent.ownership,
      policies: plan.policies.size,
      bindings: plan.bindings.length,
      devices,
      uptimeSeconds: Math.round((performance.now() - this.#started) / 1000),
      clients: this.#clients(),
    };
  }

  async #events(request: RequestOf<'events'>, session: Session, signal: AbortSignal): Promise<unknown> {
    const { id, recent = 0, follow = true } = request;
    const send = session.send(id);
    for (const json of recent > 0 ? this.#recent.slice(-recent) : []) send(json);
    if (!follow) return {};
    this.#followers.add(send);
    const unfollow = session.follow();
    // From here on nothing is missed.
    send('{"event":"following"}');
    const ended = AbortSignal.any([signal, session.silent]);
    try {
      if (!ended.aborted) await once(ended, 'abort');
    } finally {
      this.#followers.delete(send);
      unfollow();
    }
    return {};
  }

  #list(): ListResult {
    const { placement = null, devices } = statusIn(linuxKernel(), this.#options.namespace);
    return { placement, devices };
  }

  #counters({ devices: names }: RequestOf<'counters'>): { devices: unknown[] } {
    const { devices } = this.#list();
    const missing = names?.find((name) => !devices.some(({ device }) => device === name));
    if (missing !== undefined)
      throw new TapwallError('DEVICE_NOT_FOUND', `there is no macvtap device ${missing}`);
    return {
      devices: devices.filter(({ device }) => !names || names.length === 0 || names.includes(device)),
    };
  }
}

/** A guest's definition is written by whoever may define guests: what it may ask for is for the configuration to say. */
function checkDefinition({ configuration }: Agent, { fromDefinition, devices }: RequestOf<'admit'>): void {
  if (!fromDefinition) return;
  const allowed = configuration.domainPolicies;
  const wanted = devices.find(({ policy }) => policy !== undefined && !allowed.includes(policy))?.policy;
  if (wanted === undefined) return;
  throw new TapwallError('POLICY_NOT_ALLOWED', `a guest’s definition may not ask for the policy ${wanted}`, {
    hint:
      allowed.length > 0
        ? `It may ask for ${allowed.join(', ')}: \`domain-policies\` of the configuration.`
        : 'List it in `domain-policies` of the configuration.',
  });
}

async function quarantine(agent: Agent, device: DeviceSelector, on: boolean): Promise<DeviceAnswer> {
  const [answer] = await agent.ask({ request: 'quarantine', device, on });
  if (!answer) throw new TapwallError('UNKNOWN', 'the agent did not answer');
  if (on && !answer.closed) {
    const { reason } = answer;
    throw new TapwallError(
      reason?.code ?? 'UNKNOWN',
      `the door of ${answer.device} could not be closed: ${reason?.message ?? answer.state}`,
    );
  }
  return answer;
}

/** Tells what is known of a VM's devices, and waits for those that are not there or not decided yet. */
export async function admitThrough(
  agent: Agent,
  request: Omit<RequestOf<'admit'>, 'version' | 'id'>,
  signal: AbortSignal,
): Promise<AdmitResult> {
  const { guest, lift, waitMs = DEFAULT_WAIT_MS } = request;
  const end = performance.now() + waitMs;
  const ask = (devices: (AgentRequest & { request: 'admit' })['devices']) =>
    agent.ask({ request: 'admit', guest, lift, devices, expectMs: Math.max(0, end - performance.now()) });
  const answers = await ask(request.devices);
  for (;;) {
    const open = answers.flatMap((answer, at) => (isDecided(answer) ? [] : [at]));
    if (open.length === 0) break;
    if (!(await nextEvent(agent, end - performance.now(), signal))) break;
    const again = await ask(open.flatMap((at) => request.devices[at] ?? []));
    open.forEach((at, number) => {
      const answer = again[number];
      if (answer) answers[at] = answer;
    });
  }
  return { filtered: answers.every(({ filtered }) => filtered), devices: answers };
}

function isDecided({ state }: DeviceAnswer): boolean {
  return state !== 'absent' && state !== 'new';
}

/** Resolves at the next event, with true; at the end of the time, or of the client, with false. */
async function nextEvent(agent: Agent, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  if (timeoutMs <= 0 || signal.aborted) return false;
  const ended = AbortSignal.any([AbortSignal.timeout(Math.ceil(timeoutMs)), signal]);
  try {
    await once(agent, 'event', { signal: ended });
    return true;
  } catch {
    return false;
  }
}

/** What libvirt's hook asks. Hosts without libvirt never read XML, so what does that is loaded when it is needed. */
async function answerLibvirt(
  agent: Agent,
  { guest, operation, domain, waitMs = DEFAULT_WAIT_MS }: RequestOf<'libvirt'>,
): Promise<HookResult> {
  const { answerHook } = await import('../libvirt/hook.js');
  return await answerHook(agent, { guest, operation, domain, waitMs });
}
