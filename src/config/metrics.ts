import type { MetricsSettings } from './configuration.js';
import type { Findings } from './findings.js';
import { checkPart } from './issue.js';
import { readListenAddress } from './listen.js';
import { metricsSchema } from './schema.js';
import { quote } from './suggest.js';
import type { Located, LocatedEntry } from './yaml.js';

/** Devices with series of their own. */
export const DEFAULT_METERED_DEVICES = 256;

/** Reads `metrics`: undefined where it is left out, or `off`. */
export function readMetrics(
  entry: LocatedEntry | undefined,
  findings: Findings,
): MetricsSettings | undefined {
  if (!entry) return undefined;
  const { value, key } = entry;
  if (value.kind === 'scalar' && (value.value === 'off' || value.value === false)) return undefined;
  const part = { name: quote('metrics'), value, key };
  const fields = checkPart(metricsSchema, part, findings.source, findings.problems);
  if (!fields) return undefined;
  const { group, mode, devices = DEFAULT_METERED_DEVICES } = fields;
  const listen = readListenAddress(fields.listen);
  // Told by the schema.
  if ('flaw' in listen) return undefined;
  const isSocket = 'path' in listen;
  for (const name of ['group', 'mode'] as const) {
    if (isSocket || fields[name] === undefined) continue;
    findings.refuse(
      spanOf(value, name),
      `${quote(name)} says who may use a socket, and everybody on this host reaches ${quote(fields.listen)}`,
      'Take it out, or let `listen` be the path of a Unix socket.',
    );
  }
  if (isSocket && mode === '0660' && group === undefined) {
    findings.refuse(
      spanOf(value, 'mode'),
      'a mode for a group, and no group',
      'Name the `group` whose members may read the metrics.',
    );
  }
  return {
    listen,
    group: group === undefined ? undefined : String(group),
    mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
    devices,
  };
}

function spanOf(value: Located, name: string) {
  const inner = value.kind === 'map' ? value.entries.get(name)?.value.span : undefined;
  return inner ?? value.span;
}
