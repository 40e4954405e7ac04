import type { ControlSettings } from './configuration.js';
import type { Findings } from './findings.js';
import { checkPart } from './issue.js';
import { controlSchema } from './schema.js';
import { quote } from './suggest.js';
import type { LocatedEntry } from './yaml.js';

export const DEFAULT_CONTROL: ControlSettings = { path: undefined, group: undefined, mode: undefined };

/** Reads `control`: undefined for `off`. */
export function readControl(
  entry: LocatedEntry | undefined,
  findings: Findings,
): ControlSettings | undefined {
  if (!entry) return DEFAULT_CONTROL;
  const { value, key } = entry;
  if (value.kind === 'scalar' && (value.value === 'off' || value.value === false)) return undefined;
  const part = { name: quote('control'), value, key };
  const fields = checkPart(controlSchema, part, findings.source, findings.problems);
  if (!fields) return DEFAULT_CONTROL;
  const { path, group, mode } = fields;
  if (mode === '0660' && group === undefined) {
    const span = value.kind === 'map' ? value.entries.get('mode')?.value.span : undefined;
    findings.refuse(
      span ?? value.span,
      'a mode for a group, and no group',
      'Name the `group` whose members may ask the agent.',
    );
  }
  return {
    path,
    group: group === undefined ? undefined : String(group),
    mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
  };
}
