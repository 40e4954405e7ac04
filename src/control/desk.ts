import { once } from 'node:events';
import type { Agent } from '../agent/agent.js';
import type { AgentEvent } from '../agent/event.js';
import type { AgentRequest, DeviceAnswer, DeviceSelector } from '../agent/request.js';
import { isOwnAlone } from '../config/namespace.js';
import { TapwallError } from '../error.js';
import type { HookResult } from '../libvirt/hook.js';
import { VERSION } from '../version.js';
import { NamespaceGuide, type OwnNamespace } from './namespaces.js';
import { describePolicies } from './policies.js';
import {
  type AdmitResult,
  type ControlRequest,
  DEFAULT_WAIT_MS,
  type HelloResult,
  type ListResult,
  MOST_RECENT,
  type NamespaceResult,
  PROTOCOL_VERSION,
  type StatusResult,
} from './protocol.js';
import type { Handler, Session } from './session.js';

export interface DeskOptions extends OwnNamespace {
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
  readonly #guide: NamespaceGuide;
  #served: Agent | undefined;
  readonly #recent: TextOfEvent[] = [];
  readonly #followers = new Set<(event: TextOfEvent) => void>();

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#guide = new NamespaceGuide(options);
    this.#agent = new Promise((resolve, reject) => {
      this.#settle = (agent) => (agent instanceof TapwallError ? reject(agent) : resolve(agent));
    });
    // Nobody may have asked.
    this.#agent.catch(() => undefined);
  }

  /** What was asked until now, and waits, is for this agent. */
  serve(agent: Agent, clients: () => number): void {
    this.#clients = clients;
    this.#served = agent;
    agent.on('event', (event) => this.tell(event));
    this.#settle(agent);
  }

  /** Tells whoever asks for events of one that is not the agent's own. */
  tell(event: AgentEvent): void {
    const told = { json: JSON.stringify(event), namespace: event.namespace };
    this.#recent.push(told);
    if (this.#recent.length > MOST_RECENT) this.#recent.shift();
    for (const follower of this.#followers) follower(told);
  }

  /** There will be no agent. */
  refuse(error: TapwallError): void {
    this.#settle(error);
  }

  async handle(request: ControlRequest, session: Session, signal: AbortSignal): Promise<unknown> {
    if (request.request === 'hello') return this.#hello();
    const agent = await this.#agent;
    const namespace = this.#guide.resolve(request.namespace, agent);
    switch (request.request) {
      case 'status':
        return await this.#status(agent, namespace);
      case 'devices':
        return { devices: await agent.ask({ request: 'devices', namespace }) };
      case 'list':
        return list(agent, namespace);
      case 'counters':
        return counters(agent, request, namespace);
      case 'events':
        return await this.#events(request, namespace, session, signal);
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
        return await admitThrough(agent, { ...request, namespace }, signal);
      case 'libvirt':
        return await answerLibvirt(agent, request);
      case 'quarantine':
      case 'unquarantine':
        return await quarantine(agent, { ...request, namespace }, request.request === 'quarantine');
    }
  }

  #hello(): HelloResult {
    return {
      tapwall: VERSION,
      versions: [PROTOCOL_VERSION],
      pid: process.pid,
      home: this.#guide.home,
      namespaces: this.#guide.served(this.#served),
    };
  }

  async #status(agent: Agent, namespace: string | undefined): Promise<StatusResult> {
    const { configuration, plan } = agent;
    const all = await agent.ask({ request: 'devices', namespace });
    const devices: Record<string, number> = {};
    for (const { state } of all) devices[state] = (devices[state] ?? 0) + 1;
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
      ...(!isOwnAlone(configuration.namespaces) && { namespaces: namespacesOf(agent, all, namespace) }),
    };
  }

  async #events(
    { id, recent = 0, follow = true }: RequestOf<'events'>,
    namespace: string | undefined,
    session: Session,
    signal: AbortSignal,
  ): Promise<unknown> {
    const send = session.send(id);
    // What is about no namespace in particular is about each.
    const isMeant = (event: TextOfEvent) =>
      namespace === undefined || event.namespace === undefined || event.namespace === namespace;
    const last = recent > 0 ? this.#recent.filter(isMeant).slice(-recent) : [];
    for (const { json } of last) send(json);
    if (!follow) return {};
    const follower = (event: TextOfEvent) => {
      if (isMeant(event)) send(event.json);
    };
    this.#followers.add(follower);
    const unfollow = session.follow();
    // From here on nothing is missed.
    send('{"event":"following"}');
    const ended = AbortSignal.any([signal, session.silent]);
    try {
      if (!ended.aborted) await once(ended, 'abort');
    } finally {
      this.#followers.delete(follower);
      unfollow();
    }
    return {};
  }
}

/** An event as it is sent, and what it is about. */
interface TextOfEvent {
  json: string;
  namespace: string | undefined;
}

function list(agent: Agent, namespace: string | undefined): ListResult {
  const { placement = null, devices } = agent.status(namespace);
  return { placement, devices };
}

function counters(
  agent: Agent,
  { devices: names }: RequestOf<'counters'>,
  namespace: string | undefined,
): { devices: unknown[] } {
  const { devices } = list(agent, namespace);
  const missing = names?.find((name) => !devices.some(({ device }) => device === name));
  if (missing !== undefined)
    throw new TapwallError('DEVICE_NOT_FOUND', `there is no macvtap device ${missing}`);
  return {
    devices: devices.filter(({ device }) => !names || names.length === 0 || names.includes(device)),
  };
}

/** How it stands with each namespace, or with the one that is asked for. */
function namespacesOf(
  agent: Agent,
  devices: readonly DeviceAnswer[],
  asked: string | undefined,
): NamespaceResult[] {
  const counts = new Map<string | undefined, number>();
  for (const { namespace } of devices) counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
  return agent.namespaces
    .filter(({ name }) => asked === undefined || name === asked)
    .map(({ name, inode, error }) => ({
      name,
      inode: String(inode),
      state: error ? ('failed' as const) : ('served' as const),
      devices: counts.get(name) ?? 0,
      ...(error && { error }),
    }));
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

async function quarantine(
  agent: Agent,
  { device, namespace }: { device: DeviceSelector; namespace: string | undefined },
  on: boolean,
): Promise<DeviceAnswer> {
  const [answer] = await agent.ask({ request: 'quarantine', device, on, namespace });
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
  const { guest, lift, namespace, waitMs = DEFAULT_WAIT_MS } = request;
  const end = performance.now() + waitMs;
  const ask = (devices: (AgentRequest & { request: 'admit' })['devices']) =>
    agent.ask({
      request: 'admit',
      namespace,
      guest,
      lift,
      devices,
      expectMs: Math.max(0, end - performance.now()),
    });
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
