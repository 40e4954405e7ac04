import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type Fate = 'passes' | 'dropped';

/** One frame of the corpus, as `frames.py` describes it. */
export interface AttackFrame {
  id: string;
  /** What it attacks; alone, that guard must drop it as well. */
  guard: string;
  /** The policy it is for: `default`, or the one guard that the policy has. */
  profile: string;
  direction: 'egress' | 'ingress';
  description: string;
  expected: Fate;
  /** The guard that must count it in its profile; null where more than one may, or none. */
  reason: string | null;
  hex: string;
}

/** The profile with the guards that are safe for everybody. */
export const DEFAULT_PROFILE = 'default';

/** The guest that the corpus is about. Its addresses are what `frames.py` takes when it is given no others. */
export const GUEST = {
  mac: '52:54:00:12:34:56',
  addresses: ['192.0.2.10', '198.51.100.0/28', '2001:db8::10', '2001:db8:1::/64'],
};

/** Debian's own Python, which is the one that sees python3-scapy. */
const PYTHON = '/usr/bin/python3';
/** The script stays in the source tree; this file is compiled into another folder. */
const SCRIPT = fileURLToPath(new URL('../../test/attack/frames.py', import.meta.url));
const LARGEST_OUTPUT = 64 << 20;

let cached: readonly AttackFrame[] | undefined;

/** All frames; made once in a process. */
export function readCorpus(gatewayMac: string): readonly AttackFrame[] {
  if (cached) return cached;
  // -B: no compiled files in the source tree.
  const args = ['-B', SCRIPT, '--mac', GUEST.mac, '--gateway-mac', gatewayMac];
  const { status, stdout, stderr, error } = spawnSync(PYTHON, args, {
    encoding: 'utf8',
    maxBuffer: LARGEST_OUTPUT,
  });
  if (status !== 0) throw error ?? new Error(`frames.py has failed: ${stderr}`);
  cached = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as AttackFrame);
  return cached;
}
