import type { CommandHelp, HelpBlock } from './command-help.js';
import type { ConfigurationSection } from './configuration-keys.js';
import { type PageFoot, RoffPage } from './roff.js';

/** What the pages say of the program as a whole. */
export interface ProgramHelp {
  description: string;
  /** What stands below the commands in the help: the exit statuses. */
  blocks: readonly HelpBlock[];
}

/** tapwall(8): every command, as its `--help` says. */
export function commandPage(program: ProgramHelp, commands: readonly CommandHelp[], foot: PageFoot): string {
  const page = new RoffPage('tapwall', 8, foot)
    .heading('Name')
    .paragraph('tapwall - a firewall for virtual machines on macvtap devices')
    .heading('Synopsis');
  page.literal(commands.map(({ usage }) => usage));
  page.heading('Description').paragraph(program.description);
  page.paragraph(
    'Commands that touch the kernel need root, or `CAP_NET_ADMIN`; `tapwall doctor` says what is lost without other rights. The configuration is described in `tapwall.yaml`(5).',
  );
  page.heading('Commands');
  for (const command of commands) {
    page.subheading(command.usage).paragraph(`${capitalised(command.description)}.`);
    for (const { term, description } of [...command.arguments, ...command.options])
      page.item(term, description);
    for (const block of command.blocks) writeBlock(page, block);
  }
  for (const block of program.blocks) {
    if (block.kind === 'prose') continue;
    page.heading(block.heading);
    for (const text of block.lines) {
      const [term = '', ...meaning] = text.split(/\s{2,}/);
      page.item(term, meaning.join(' '));
    }
  }
  page.heading('Files').item('/etc/tapwall/tapwall.yaml', 'the configuration');
  page.heading('See also').paragraph('`tapwall.yaml`(5), `nft`(8), `ip-link`(8), `virsh`(1)');
  return page.toString();
}

function writeBlock(page: RoffPage, block: HelpBlock): void {
  if (block.kind === 'prose') page.paragraph(block.text);
  else page.paragraph(`${block.heading}:`).literal(block.lines);
}

/** tapwall.yaml(5): every key of the configuration. */
export function configurationPage(sections: readonly ConfigurationSection[], foot: PageFoot): string {
  const page = new RoffPage('tapwall.yaml', 5, foot)
    .heading('Name')
    .paragraph('tapwall.yaml - which virtual machine gets which filter')
    .heading('Description')
    .paragraph(
      'One YAML file says which policies there are and which device gets which. `tapwall check FILE` tells every mistake in it at its line and column. An unknown key is a mistake. The guide to the keys is docs/configuration.md of the package.',
    );
  for (const { path, keys } of sections) {
    page.heading(path === '' ? 'Keys of the file' : `Keys of ${path}`);
    for (const { name, type, isRequired, default: value, description } of keys) {
      const fallback = isRequired ? 'It must be there.' : value === undefined ? '' : `Default: \`${value}\`.`;
      page.item(name, `(${type}) ${description} ${fallback}`.trimEnd());
    }
  }
  page.heading('Examples').literal(EXAMPLE);
  page.heading('See also').paragraph('`tapwall`(8), `nft`(8)');
  return page.toString();
}

const EXAMPLE = [
  'policies:',
  '  web:',
  '    ingress: |',
  '      ip saddr 192.168.0.0/16 drop',
  '    default: accept',
  '    guards: [mac, ip, arp, nd, ethertype, fragment, dhcp-server, ra]',
  'bindings:',
  '  - { mac: "52:54:00:aa:bb:cc", addresses: [203.0.113.7], policy: web }',
];

function capitalised(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
