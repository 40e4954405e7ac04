import type { MetricDescription } from '../metrics/catalogue.js';
import type { CommandHelp, Described } from './command-help.js';
import type { ConfigurationKey, ConfigurationSection } from './configuration-keys.js';

const MADE_BY = (source: string) => `<!-- Made from ${source} by npm run docs. Change it there. -->`;

/** docs/reference/configuration.md: every key, section by section. */
export function configurationReference(sections: readonly ConfigurationSection[]): string {
  const [top, ...inner] = sections;
  const topKeys = (top?.keys ?? []).map(({ name }) => name);
  const parts = [
    '# Every key of a configuration',
    MADE_BY('src/config/schema.ts'),
    'What the keys are for, with examples, is in [the guide](../configuration.md). `tapwall check FILE` tells every mistake at its line and column.',
    'With the JSON Schema of the package an editor completes keys and marks mistakes. The first line of a configuration says where the schema is; the Debian package has it in `/usr/lib/tapwall/schema/`, a global npm installation usually here:',
    '```\n# yaml-language-server: $schema=/usr/lib/node_modules/tapwall/schema/tapwall.schema.json\n```',
    `## The file`,
    keyTable(top?.keys ?? [], topKeys),
    ...inner.flatMap((section) => [`## ${section.path}`, guideLink(section), keyTable(section.keys, [])]),
  ];
  return `${parts.join('\n\n')}\n`;
}

function guideLink({ path }: ConfigurationSection): string {
  const key = /^[a-z-]+/.exec(path)?.[0] ?? path;
  return `In the guide: [${key}](../configuration.md#${key}).`;
}

function keyTable(keys: readonly ConfigurationKey[], linked: readonly string[]): string {
  const rows = keys.map(({ name, type, isRequired, default: value, description }) => {
    // The key that is for editors has nothing to be told in the guide.
    const hasGuide = linked.includes(name) && !name.startsWith('$');
    const shown = hasGuide ? `[\`${name}\`](../configuration.md#${name})` : `\`${name}\``;
    const fallback = isRequired ? '**must be there**' : value === undefined ? '' : `\`${value}\``;
    return row([shown, type, fallback, description]);
  });
  return [row(['key', 'type', 'default', '']), '|---|---|---|---|', ...rows].join('\n');
}

/** docs/reference/commands.md: every command, as its `--help` says. */
export function commandReference(commands: readonly CommandHelp[], exitStatus: readonly string[]): string {
  const parts = [
    '# Every command',
    MADE_BY("the commands' own help (src/cli/)"),
    'The same is in `tapwall COMMAND --help` and in `man tapwall`. Commands that touch the kernel need root, or [`CAP_NET_ADMIN`](../troubleshooting.md#least-privilege).',
    ...commands.flatMap(commandParts),
    '## Exit status',
    ['| status | |', '|--:|---|', ...exitStatus.map((line) => row(line.split(/\s{2,}/)))].join('\n'),
  ];
  return `${parts.join('\n\n')}\n`;
}

function commandParts(command: CommandHelp): string[] {
  return [
    `## tapwall ${command.name}`,
    sentence(command.description),
    `\`\`\`\n${command.usage}\n\`\`\``,
    ...describedTable(command.arguments, 'argument'),
    ...describedTable(command.options, 'option'),
    ...command.blocks.flatMap((block) =>
      block.kind === 'prose'
        ? [plainText(block.text)]
        : [`${block.heading}:`, `\`\`\`\n${block.lines.join('\n')}\n\`\`\``],
    ),
  ];
}

function describedTable(described: readonly Described[], head: string): string[] {
  if (described.length === 0) return [];
  const rows = described.map(({ term, description }) => row([`\`${term}\``, plainText(description)]));
  return [[row([head, '']), '|---|---|', ...rows].join('\n')];
}

/** docs/reference/errors.md: every code. */
export function errorReference(
  codes: Readonly<Record<string, string>>,
  exitStatus: (code: string) => number,
): string {
  const rows = Object.entries(codes).map(([code, meaning]) =>
    row([`\`${code}\``, String(exitStatus(code)), meaning]),
  );
  const parts = [
    '# Every error code',
    MADE_BY('src/error.ts'),
    'Every error that tapwall makes has a `code`: under `--json`, in events, and as `TapwallError.code` in the library. Go by it, not by the message, which may change. What to do about an error is in [troubleshooting](../troubleshooting.md).',
    [row(['code', 'exit status', 'meaning']), '|---|--:|---|', ...rows].join('\n'),
    'Where the kernel refuses, the code is the name of its errno (`EPERM`, `ENOENT`, `EBUSY`…), the exit status is 1, and the error also has `errno`, `operation` and `extendedAck`, the kernel’s own words.',
    'Under `tapwall check` every error of a file gives status 3.',
  ];
  return `${parts.join('\n\n')}\n`;
}

/** docs/reference/metrics.md: every metric. */
export function metricReference(metrics: Readonly<Record<string, MetricDescription>>): string {
  const rows = Object.entries(metrics).map(([name, { type, help, labels, bound = '' }]) =>
    row([`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), `${help}.`, bound]),
  );
  const buckets = Object.entries(metrics).flatMap(([name, { buckets: bounds }]) =>
    bounds ? [`Buckets of \`${name}\`, in seconds: ${bounds.join(', ')}.`] : [],
  );
  const parts = [
    '# Every metric',
    MADE_BY('src/metrics/catalogue.ts'),
    'How they are served, alerts and the dashboard are in [monitoring](../monitoring.md). A name and its labels stay what they are; new ones may come.',
    [row(['metric', 'type', 'labels', '', 'how many series']), '|---|---|---|---|---|', ...rows].join('\n'),
    ...buckets,
  ];
  return `${parts.join('\n\n')}\n`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replace(/\|/g, '\\|')).join(' | ')} |`.replace(/ {2,}/g, ' ');
}

/** Help is plain text: what Markdown would take for something else is escaped. */
function plainText(text: string): string {
  return text.replace(/[<>*_$[\]]/g, (character) => `\\${character}`);
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${plainText(text.slice(1))}.`;
}
