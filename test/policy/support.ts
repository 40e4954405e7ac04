import type { InlinePolicy, PolicyText } from '#src/config/configuration.js';
import type { Problem } from '#src/error.js';

/** Rules as they would stand in a block of a configuration, from line 10, column 7 on. */
export function rules(text: string): PolicyText {
  return {
    text,
    location: { file: 'tapwall.yaml', line: 10, column: 7 },
    sourceLine: `      ${text.split('\n')[0]}`,
    verbatim: true,
  };
}

export function policyWith(parts: Partial<InlinePolicy>): InlinePolicy {
  const location = { file: 'tapwall.yaml', line: 8, column: 3 };
  const nothing = { variables: {}, guards: [], limits: {} };
  return { kind: 'inline', name: 'lan-guard', location, default: 'drop', ...nothing, ...parts };
}

export function brief({ location, length, message }: Problem): string {
  return `${location?.line}:${location?.column}+${length} ${message}`;
}
