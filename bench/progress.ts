const { stderr } = process;
const CLEAR_LINE = '\r\x1b[K';

/** Says on standard error what is being measured, on one line that is written over. Silent unless that is a terminal. */
export function showProgress(text: string): void {
  if (stderr.isTTY) stderr.write(`${CLEAR_LINE}${text}`);
}

export function clearProgress(): void {
  if (stderr.isTTY) stderr.write(CLEAR_LINE);
}
