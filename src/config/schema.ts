import { z } from 'zod';
import { DEFAULT_GUARDS, GUARD_ALIASES, GUARD_NAMES } from '../policy/guard-name.js';
import { DEFAULT_RECONCILE } from './interval.js';
import {
  address,
  aliasGlob,
  deviceGlob,
  duration,
  folderPath,
  groupName,
  guard,
  guestGlob,
  interfaceName,
  interfacePrefix,
  interval,
  listenAddress,
  mac,
  namespaceGlob,
  namespacePattern,
  path,
  rate,
  socketPath,
  uuid,
  variables,
} from './text.js';

/** Of the system's libvirtd and virtqemud. */
export const DEFAULT_LIBVIRT_STATE = '/run/libvirt/qemu';

/** nft's flags of a set, as far as a configuration may ask for them. */
const setFlag = z.enum(['interval', 'timeout', 'dynamic', 'constant']);

/*
 * The `meta` of a key is its entry in the reference, in the manual page and in an editor: npm run docs writes them.
 * `title` names a kind of text; `default` is what holds where the key is left out, as one would write it.
 */

/** The parts are checked one by one, so that a mistake in one hides no mistake in another; `whole-schema.ts` joins them. */
export const topSchema = z.strictObject({
  $schema: z
    .string()
    .optional()
    .meta({ description: 'Where an editor finds the JSON Schema of this file. tapwall itself ignores it.' }),
  devices: z
    .unknown()
    .optional()
    .meta({ description: 'Which devices are looked at, and on which names hooks stand in advance.' }),
  placement: z.enum(['auto', 'prefix', 'names', 'device', 'chain']).optional().meta({
    description:
      'How hooks reach a device. `prefix` (Linux 6.17) and `names` (6.16): it is closed before its first frame. `device` (6.4) and `chain`: it is open until the agent has seen it. `auto`: the best that this kernel and this libnftables can do.',
    default: 'auto',
  }),
  unmatched: z.string().optional().meta({
    title: '`drop`, `accept` or the name of a policy',
    description: 'What a device gets that no binding matches, once the agent has seen it.',
    default: 'drop',
  }),
  egress: z.enum(['required', 'optional']).optional().meta({
    description:
      'Whether to warn of policies that lose their egress half, on a kernel without egress hooks (before 5.16).',
    default: 'required',
  }),
  namespaces: z
    .array(namespacePattern.meta({ title: '`self`, name, path or glob' }))
    .min(1, 'no namespace: nothing would be filtered')
    .optional()
    .meta({
      description:
        'The network namespaces that are served, as they appear and go: names of ip-netns(8), paths, and `self` for the agent’s own. A name, and the last part of a path, may be a glob. docs/namespaces.md tells more.',
      default: ['self'],
    }),
  owner: z.boolean().optional().meta({
    description:
      'Whether the tables belong to the agent, so that no other program can change them while it runs (Linux 6.9).',
    default: true,
  }),
  reconcile: interval.optional().meta({
    title: 'interval, or `never`',
    description:
      'How often what the kernel holds is compared with what it should hold: from `1s` to `24h`, in `s`, `m` or `h`.',
    default: DEFAULT_RECONCILE,
    pattern: '^(never|[0-9]{1,6}[smh])$',
  }),
  control: z.unknown().optional().meta({
    description:
      'The socket over which `tapwall run` can be asked something; `off` for none. docs/control.md tells more.',
  }),
  'libvirt-state': z
    .union([z.literal('off'), folderPath])
    .optional()
    .meta({
      title: 'absolute path, or `off`',
      description:
        'Where libvirt keeps the state of guests that run: by it the agent knows whose a device is that was plugged in.',
      default: DEFAULT_LIBVIRT_STATE,
    }),
  metrics: z.unknown().optional().meta({
    description:
      'Where `tapwall run` serves metrics for Prometheus; `off`, or no such key, for nowhere. docs/monitoring.md tells more.',
  }),
  sets: z
    .record(z.string(), z.unknown())
    .optional()
    .meta({ description: 'Sets that the rules of all inline policies may look into, as `@NAME`.' }),
  policies: z.record(z.string(), z.unknown()).meta({
    description:
      'The policies, by name: up to 63 letters, digits, `.`, `_` and `-`, the first a letter or digit; not `drop` or `accept`.',
  }),
  'domain-policies': z
    .array(z.string().meta({ title: 'name of a policy' }))
    .optional()
    .meta({
      description: "The policies that a guest's own definition (libvirt's domain XML) may ask for.",
      default: [],
    }),
  bindings: z
    .array(z.unknown())
    .meta({ description: 'Which device gets which policy. The first that matches decides.' }),
});

export const controlSchema = z.strictObject({
  path: socketPath.optional().meta({
    title: 'absolute path',
    description: 'Where it is.',
    default: '/run/tapwall/tapwall.sock',
  }),
  group: z.union([groupName, z.int()]).optional().meta({
    title: 'name or number of a group',
    description: 'Whose members may ask, beside root. Without the key nobody else may.',
  }),
  mode: z.enum(['0600', '0660']).optional().meta({
    description:
      'Of the socket, in quotes: YAML takes it for a number otherwise. Without the key `"0660"` with a group, else `"0600"`.',
  }),
});

/** More make a scrape slow, and a Prometheus large. */
export const MOST_METERED_DEVICES = 16_384;

export const metricsSchema = z.strictObject({
  listen: listenAddress.meta({
    title: 'absolute path, or address and port',
    description: 'A Unix socket, `127.0.0.1:PORT` or `[::1]:PORT`; no address that others reach.',
  }),
  group: z.union([groupName, z.int()]).optional().meta({
    title: 'name or number of a group',
    description: 'Whose members may read, beside root. Of a Unix socket only.',
  }),
  mode: z.enum(['0600', '0660', '0666']).optional().meta({
    description:
      'Of the Unix socket, in quotes. Without the key `"0660"` with a group, else `"0600"`; `"0666"` lets everybody read.',
  }),
  devices: z
    .int()
    .min(0, 'from 0 to 16,384 devices')
    .max(MOST_METERED_DEVICES, 'from 0 to 16,384 devices')
    .optional()
    .meta({
      description:
        'How many devices have series of their own, from 0 to 16,384; all others are summed up in one.',
      default: 256,
    }),
});

export const devicesSchema = z.strictObject({
  prefixes: z
    .array(interfacePrefix.meta({ title: 'text' }))
    .min(1, 'no prefix: no device would ever be looked at')
    .optional()
    .meta({
      description:
        'How the names of the devices begin; macvtap devices with other names are not filtered. No globs.',
      default: ['macvtap'],
    }),
  names: z
    .array(z.string().meta({ title: 'pattern' }))
    .min(1, 'no name: leave the key out for those that libvirt gives')
    .optional()
    .meta({
      description:
        'The names whose hooks stand in advance under placement `names`, at most 16,384. `{a,b}` stands for either text, `{0..99}` for each number. Without the key: each prefix with the numbers 0 to 8191.',
    }),
});

/** The kernel makes room for as many at once. */
const LARGEST_SET = 2 ** 24;

export const namedSetSchema = z.strictObject({
  type: z.string().meta({
    title: 'data type of nft',
    description:
      'Of the elements: `ipv4_addr`, `ipv6_addr`, `ether_addr`, `inet_service`, `inet_proto`, `ether_type` or `mark`, or several with ` . ` between.',
  }),
  /** Checked one by one where the type is known. */
  elements: z
    .array(z.unknown().meta({ title: 'value, prefix or range', type: ['string', 'integer'] }))
    .optional()
    .meta({ description: 'What is in it, as nft writes it.', default: [] }),
  file: path.optional().meta({
    title: 'path',
    description:
      'A file that has the elements in place of `elements`, one to a line, with comments behind `#`; relative to the folder of the configuration. At most 128 MiB and 4,194,304 elements.',
  }),
  flags: z.array(setFlag).optional().meta({
    description: 'As those of nft. `interval` and `timeout` are added where elements or `timeout` need them.',
  }),
  timeout: duration
    .optional()
    .meta({ title: 'time', description: 'How long an element stays: `30s`, `10m`, `1d12h`.' }),
  size: z
    .int()
    .min(1, 'a size is at least 1')
    .max(LARGEST_SET, `a size is at most ${LARGEST_SET}`)
    .optional()
    .meta({ description: 'How many elements it can hold, from 1 to 16,777,216.' }),
});

export const policySchema = z.strictObject({
  file: path.optional().meta({
    title: 'path',
    description:
      'A complete nft file that hooks `$intf`, in place of `ingress`, `egress` and `default`; relative to the folder of the configuration.',
  }),
  ingress: z
    .string()
    .optional()
    .meta({ title: 'nft rules', description: 'Rules for what goes to the VM, one to a line.' }),
  egress: z
    .string()
    .optional()
    .meta({ title: 'nft rules', description: 'Rules for what comes from the VM, one to a line.' }),
  default: z.enum(['accept', 'drop']).optional().meta({
    description: 'What becomes of a frame that no rule decides, in both directions. Not with `file`.',
    default: 'drop',
  }),
  variables: variables
    .optional()
    .meta({ description: 'Values for `$name` in the rules or the file, as those of nft -D.' }),
  guards: z
    .array(guard.meta({ title: 'guard', enum: [...GUARD_NAMES, ...GUARD_ALIASES.keys()] }))
    .optional()
    .meta({
      description: `What no rule can undo. Without the key an inline policy has \`${DEFAULT_GUARDS.join('`, `')}\`, and a file none.`,
    }),
  /** Checked as a part of its own. */
  limits: z.unknown().optional().meta({
    description: 'The most of each kind of traffic, for each VM; what is over the rate is dropped.',
  }),
});

export const limitsSchema = z.strictObject({
  broadcast: rate('packets')
    .optional()
    .meta({ title: 'packet rate', description: 'Frames from the VM to broadcast and multicast addresses.' }),
  'ingress-packets': rate('packets').optional().meta({
    title: 'packet rate',
    description: 'What goes to the VM: `100/second`, `500/minute burst 50 packets`.',
  }),
  'ingress-bytes': rate('bytes')
    .optional()
    .meta({ title: 'byte rate', description: 'What goes to the VM: `10 mbytes/second burst 2 mbytes`.' }),
  'egress-packets': rate('packets')
    .optional()
    .meta({ title: 'packet rate', description: 'What comes from the VM.' }),
  'egress-bytes': rate('bytes')
    .optional()
    .meta({ title: 'byte rate', description: 'What comes from the VM.' }),
});

export const bindingSchema = z.strictObject({
  device: deviceGlob.optional().meta({ title: 'glob', description: "The device's name, as it is now." }),
  parent: interfaceName
    .optional()
    .meta({ title: 'name', description: 'The link the device stands on; the whole name, no glob.' }),
  mac: mac.optional().meta({
    title: 'MAC address',
    description:
      "The MAC the device had when it was first seen. It is also the VM's assigned MAC, with which guards compare.",
    pattern: '^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$',
  }),
  alias: aliasGlob
    .optional()
    .meta({ title: 'glob', description: "The device's alias. A device without one does not match." }),
  guest: guestGlob.optional().meta({
    title: 'glob',
    description:
      'The name of the guest, as the libvirt hook told it. A device of which nothing was told does not match.',
  }),
  uuid: uuid.optional().meta({ title: 'UUID', description: "The guest's UUID, told as `guest` is." }),
  namespace: namespaceGlob.optional().meta({
    title: 'glob',
    description:
      'What `namespaces` knows the network namespace of the device by: a name, a path, or `self` for the agent’s own.',
  }),
  addresses: z
    .array(address.meta({ title: 'address or prefix' }))
    .optional()
    .meta({
      description:
        'What the VM may call its own: IPv4 and IPv6. The guards `ip4`, `ip6`, `arp-ip` and `nd` compare with them.',
    }),
  policy: z.string().meta({ title: 'name of a policy', description: 'What the device gets.' }),
});
