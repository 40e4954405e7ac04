/** Scrapes, and what promtool says of them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

/** Gets a page from a Unix socket. */
export async function get(socketPath: string, path = '/metrics'): Promise<{ status: number; body: string }> {
  const asking = request({ socketPath, path, agent: false });
  asking.end();
  const [answer] = (await once(asking, 'response')) as [IncomingMessage];
  let body = '';
  answer.setEncoding('utf8');
  for await (const chunk of answer) body += chunk;
  return { status: answer.statusCode ?? 0, body };
}

/** The series of a page: names with their labels as they stand there, and values. */
export function seriesOf(page: string): Map<string, number> {
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const blank = line.lastIndexOf(' ');
      return [line.slice(0, blank), Number(line.slice(blank + 1))];
    }),
  );
}

/** Of what a series is. */
export function nameOf(series: string): string {
  return series.replace(/\{.*$/, '');
}

export async function scrape(socketPath: string): Promise<Map<string, number>> {
  const { status, body } = await get(socketPath);
  assert.equal(status, 200, body);
  return seriesOf(body);
}

/** Runs promtool, which `scripts/test.sh` sees to, and gives what it has to say; it must be content. */
export function promtool(args: readonly string[], input?: string): string {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, {
    encoding: 'utf8',
    input,
    timeout: 60_000,
  });
  assert.equal(error, undefined, 'promtool is of Debian’s package prometheus');
  assert.equal(status, 0, `promtool ${args.join(' ')}:\n${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}
