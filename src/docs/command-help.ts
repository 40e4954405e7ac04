import type { Command } from 'commander';

/** What a command's help says, in parts. */
export interface CommandHelp {
  /** Without the program: `attach`; with spaces for a command of a command. */
  name: string;
  /** With the program: `tapwall attach [options] <device>`. */
  usage: string;
  description: string;
  arguments: readonly Described[];
  options: readonly Described[];
  /** What stands below the options. */
  blocks: readonly HelpBlock[];
}

export interface Described {
  /** `--json`, `-n, --namespace <name|path>`, `<device>`. */
  term: string;
  description: string;
}

/** A paragraph, or lines that keep their ends under a heading, such as `Examples`. */
export type HelpBlock =
  | { kind: 'prose'; text: string }
  | { kind: 'lines'; heading: string; lines: readonly string[] };

/** The commands of a program, those of a command after it. */
export function commandHelps(program: Command): CommandHelp[] {
  return program.commands.flatMap((command) => [helpOf(command), ...commandHelps(command)]);
}

/** What stands below the options in a command's help. */
export function helpBlocks(command: Command): HelpBlock[] {
  return blocksOf(textAfterHelp(command));
}

function helpOf(command: Command): CommandHelp {
  const help = command.createHelp();
  const usage = help.commandUsage(command);
  return {
    name: usage.replace(/^tapwall /, '').replace(/ ?[[<].*$/, ''),
    usage,
    description: command.description(),
    arguments: help.visibleArguments(command).map((argument) => ({
      term: argument.required
        ? `<${argument.name()}${argument.variadic ? '...' : ''}>`
        : `[${argument.name()}${argument.variadic ? '...' : ''}]`,
      description: help.argumentDescription(argument),
    })),
    options: help
      .visibleOptions(command)
      .filter((option) => option.long !== '--help')
      .map((option) => ({ term: option.flags, description: help.optionDescription(option) })),
    blocks: blocksOf(textAfterHelp(command)),
  };
}

/** commander keeps these texts to itself, but prints them behind what it gives out. */
function textAfterHelp(command: Command): string {
  let whole = '';
  const before = command.configureOutput();
  command.configureOutput({
    ...before,
    writeOut: (text) => {
      whole += text;
    },
  });
  command.outputHelp();
  command.configureOutput(before);
  return whole.slice(command.helpInformation().length);
}

function blocksOf(text: string): HelpBlock[] {
  const blocks = text
    .split(/\n\s*\n/)
    .map((block) => block.replace(/^\n+|\s+$/g, ''))
    .filter((block) => block !== '');
  return blocks.map((block) => {
    const [heading = '', ...lines] = block.split('\n');
    const isList = lines.length > 0 && heading.endsWith(':') && lines.every((line) => line.startsWith('  '));
    return isList
      ? { kind: 'lines', heading: heading.slice(0, -1), lines: lines.map((line) => line.slice(2)) }
      : { kind: 'prose', text: block.replace(/\s*\n\s*/g, ' ') };
  });
}
