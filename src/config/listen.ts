import ipaddr from 'ipaddr.js';

/** Where metrics are served: on this host alone. */
export type ListenAddress = { path: string } | { host: string; port: number };

/** Bytes of sun_path, less the NUL (unix(7)). */
const LONGEST_SOCKET_PATH = 107;
const LARGEST_PORT = 65_535;

/** Why no socket can have this path; undefined if one can. */
export function flawInSocketPath(path: string): string | undefined {
  if (path.includes('\0')) return 'a path with a NUL';
  const bytes = Buffer.byteLength(path);
  return bytes > LONGEST_SOCKET_PATH
    ? `it has ${bytes} bytes, ${LONGEST_SOCKET_PATH} is the most for a socket`
    : undefined;
}

/**
 * Reads the path of a Unix socket, or a loopback address with its port. Names are not looked up: what they mean may
 * change. Nobody is asked who he is, so no address that others reach is taken.
 */
export function readListenAddress(text: string): ListenAddress | { flaw: string; hint?: string } {
  if (text.startsWith('/')) {
    const flaw = flawInSocketPath(text);
    return flaw === undefined ? { path: text } : { flaw };
  }
  const [, six, four, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = six ?? four;
  if (host === undefined) {
    const isMissingPort = isAddress(text.replace(/^\[|\]$/g, ''));
    return {
      flaw: isMissingPort
        ? `\`${text}\` has no port`
        : `\`${text}\` is neither an absolute path nor an address with a port`,
      hint: HINT,
    };
  }
  const port = Number(digits);
  if (port < 1 || port > LARGEST_PORT)
    return { flaw: `there is no port ${digits}: from 1 to ${LARGEST_PORT}` };
  if (!isAddress(host)) {
    const hint = host === 'localhost' ? `Write \`127.0.0.1:${port}\`: names are not looked up.` : HINT;
    return { flaw: `\`${host}\` is not an IP address`, hint };
  }
  if (!isLoopback(host)) {
    return {
      flaw: `\`${host}\` can be reached from elsewhere, and metrics are served to whoever connects`,
      hint: `${HINT} A proxy of yours can serve them to others.`,
    };
  }
  return { host, port };
}

const HINT = 'Write a path such as `/run/tapwall/metrics.sock`, `127.0.0.1:PORT` or `[::1]:PORT`.';

/** 127.0.0.0/8 (RFC 1122, 3.2.1.3) and ::1, as one writes it. */
function isLoopback(host: string): boolean {
  return ipaddr.parse(host).range() === 'loopback';
}

function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}
