import type { Agent } from '../agent/agent.js';
import type { AgentEvent } from '../agent/event.js';
import type { ControlSettings } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import { ControlDesk, type DeskOptions } from './desk.js';
import { defaultControlPath, groupId } from './path.js';
import { ControlServer } from './server.js';

/** Whom a control socket serves. */
export interface ControlOptions extends DeskOptions {
  /** Hears of clients that were refused or dropped, and of a socket that could not be had. */
  notice: (message: string) => void;
}

/** The control socket of an agent: there before the agent, so that what is asked meanwhile waits for it. */
export class Control {
  readonly #desk: ControlDesk;
  readonly #server: ControlServer | undefined;

  private constructor(desk: ControlDesk, server: ControlServer | undefined) {
    this.#desk = desk;
    this.#server = server;
  }

  /**
   * Listens where the configuration says.
   * @param settings undefined for no socket.
   * @throws TapwallError CONTROL_PATH, CONTROL_IN_USE or GROUP_NOT_FOUND for a socket that the configuration asks for. The
   *   default one is done without: that devices are filtered comes first.
   */
  static async open(settings: ControlSettings | undefined, options: ControlOptions): Promise<Control> {
    const desk = new ControlDesk(options);
    const path = settings && (settings.path ?? defaultControlPath(options.namespaceName));
    if (!settings || path === undefined) return new Control(desk, undefined);
    try {
      const group = settings.group === undefined ? undefined : groupId(settings.group);
      const { mode } = settings;
      const server = await ControlServer.open({ path, group, mode, notice: options.notice }, desk);
      return new Control(desk, server);
    } catch (error) {
      if (!(error instanceof TapwallError) || settings.path !== undefined || settings.group !== undefined) {
        throw error;
      }
      options.notice(`no control socket: ${error.message}`);
      return new Control(desk, undefined);
    }
  }

  /** Where it listens; undefined where it does not. */
  get path(): string | undefined {
    return this.#server?.path;
  }

  /** From now on what is asked is answered. */
  serve(agent: Agent): void {
    this.#desk.serve(agent, () => this.#server?.clients ?? 0);
  }

  /** Tells those who follow events of one that is not the agent's own: of a configuration that could not be read, say. */
  tell(event: AgentEvent): void {
    this.#desk.tell(event);
  }

  /** Tells every client that the agent has stopped, and removes the socket. */
  async close(): Promise<void> {
    this.#desk.refuse(new TapwallError('STOPPED', 'the agent has stopped'));
    await this.#server?.close();
  }
}
