import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { AgentEvent } from '../agent/event.js';
import { PROMISES } from '../agent/placement.js';
import { visibleLine } from './visible.js';

/** On standard error: for people where it is a terminal, else a JSON object a line, for whatever collects logs. */
export async function agentLog(isTerminal = process.stderr.isTTY === true): Promise<Logger> {
  if (!isTerminal) return structuredLog(destination({ dest: 2, sync: true }));
  // Where nobody looks it is not even loaded.
  const { humanLog } = await import('./human-log.js');
  return humanLog();
}

/** Entries with `level` (a word), `time` (ISO 8601), `msg`, and where they are about an event of the agent’s that event. */
export function structuredLog(output: DestinationStream): Logger {
  return pino(
    {
      level: 'info',
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    output,
  );
}

/** Tells an agent's event as one line of the log, at the level it deserves. */
export function logEvent(logger: Logger, event: AgentEvent): void {
  const log = logger.child({ event });
  logLine(event.namespace === undefined ? log : within(log, event.namespace), event);
}

/** Every line begins with the name of the network namespace. */
function within(log: Lines, namespace: string): Lines {
  const prefix = `[${visibleLine(namespace)}] `;
  return {
    info: (text) => log.info(prefix + text),
    warn: (text) => log.warn(prefix + text),
    error: (text) => log.error(prefix + text),
  };
}

type Lines = Record<'info' | 'warn' | 'error', (text: string) => void>;

function logLine(log: Lines, event: AgentEvent): void {
  switch (event.event) {
    case 'ready':
      log.info(
        `ready: placement ${event.placement} (${PROMISES[event.placement]}), ${event.devices} device${event.devices === 1 ? '' : 's'}, ` +
          `${event.attached} filtered, in ${event.microseconds} µs`,
      );
      break;
    case 'attached': {
      const how = event.kept ? 'already has' : event.replaced ? 'now has, in place of another,' : 'has';
      log.info(
        `${event.device} (index ${event.index}) ${how} policy ${event.policy}, ${event.microseconds} µs` +
          (event.inAdvance || event.kept ? '' : '; it was open until then: no hook waited for its name'),
      );
      break;
    }
    case 'detached':
      log.info(
        `${event.device} (index ${event.index}) detached (${event.reason})` +
          `${event.tables.length > 0 ? `, removed ${event.tables.join(', ')}` : ''}, ${event.microseconds} µs`,
      );
      break;
    case 'unmatched':
      log.warn(
        `${event.device} (index ${event.index}) matches no binding: ` +
          `${event.closed ? 'everything to and from it is dropped' : 'it is NOT filtered'}`,
      );
      break;
    case 'quarantined':
      log.warn(
        `${event.device} (index ${event.index}) is in quarantine: everything to and from it is dropped`,
      );
      break;
    case 'failed':
      log.error(
        `${event.device} (index ${event.index}) cannot have policy ${event.policy}: ${event.error.message}; ` +
          (event.closed
            ? 'everything to and from it is dropped'
            : 'nor could it be closed: it is as open as it was before'),
      );
      break;
    case 'namespace-ready':
      log.info(
        `served: ${event.devices} device${event.devices === 1 ? '' : 's'}, ${event.attached} filtered, in ${event.microseconds} µs`,
      );
      break;
    case 'namespace-gone':
      log.info('no longer there, and no longer served; its filters stay as they are');
      break;
    case 'namespace-failed':
      log.error(`cannot be served, and will be tried again: ${event.error.message}`);
      break;
    case 'overflow':
    case 'warning':
      log.warn(event.message);
      break;
    case 'repaired': {
      const who = event.by.map(
        ({ port, processId, processName }) =>
          `${visibleLine(processName ?? 'somebody')} (process ${processId ?? 'unknown'}, port ${port})`,
      );
      const what = event.tables.length > 0 ? ` changed ${event.tables.join(', ')}` : '';
      const found =
        who.length > 0 ? `${who.join(' and ')}${what}` : 'the filters were not what they should be';
      log.warn(
        `${found}: put right in ${event.transactions} transaction${event.transactions === 1 ? '' : 's'}, ` +
          `${event.microseconds} µs`,
      );
      break;
    }
    case 'released':
      log.warn('the tables are given up: anybody may change them, and what is changed is put right');
      break;
    case 'reloaded':
      log.info(
        `reloaded ${event.file}: ${event.policies} policies, ${event.bindings} bindings, ${event.microseconds} µs`,
      );
      break;
    case 'reload-failed':
      log.error(`${event.file} is not used, the old configuration stays in force:\n${event.error.message}`);
      break;
    case 'stopped':
      log.info(
        event.detached > 0 ? `stopped; ${event.detached} devices detached` : 'stopped; filters stay in place',
      );
      break;
  }
}
