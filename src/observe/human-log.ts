import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import { visible } from './visible.js';

/** A log for people, one line an entry: on standard error, or on standard output where it is what was asked for. */
export function humanLog(output: 'stderr' | 'stdout' = 'stderr'): Logger {
  const stream = pretty({
    // By descriptor it is written before the next line of code runs: the last words before an exit must not be lost.
    // What reads standard output may go away, which the stream bears.
    destination: output === 'stderr' ? 2 : process.stdout,
    sync: true,
    colorize: process[output].isTTY === true,
    // What an entry is about is in its words.
    ignore: 'pid,hostname,event',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    singleLine: true,
  });
  return pino(
    {
      level: 'info',
      hooks: {
        logMethod([text, ...more], log) {
          log.apply(this, [typeof text === 'string' ? visible(text) : text, ...more]);
        },
      },
    },
    stream,
  );
}
