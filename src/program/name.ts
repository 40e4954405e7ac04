import { createHash } from 'node:crypto';
import { NFT_NAME_MAXLEN } from '../nftables/constants.js';
import type { TextPart } from './slot.js';

/**
 * A policy's table `NAME` becomes `tapwall.INDEX.NAME` for the device with that interface index. The kernel does not
 * hand out an index twice while the host is up, so two VMs never share a table, and a table of a device that is
 * gone never takes in the next one of its name.
 */
const PREFIX = 'tapwall';

const LARGEST_INDEX = 2 ** 31 - 1;
const INDEX_DIGITS = String(LARGEST_INDEX).length;
const LONGEST_NAME = NFT_NAME_MAXLEN - 1 - PREFIX.length - INDEX_DIGITS - 2;

/** A name that is too long together with the prefix is cut and told apart by a digest of the whole. */
function shorten(name: string): string {
  if (Buffer.byteLength(name) <= LONGEST_NAME) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 8);
  // In bytes, as the kernel counts; a character that is cut in two goes.
  const kept = Buffer.from(name).subarray(0, LONGEST_NAME - digest.length - 1);
  return `${kept.toString().replace(/\uFFFD+$/, '')}.${digest}`;
}

export function deviceTableTemplate(name: string): TextPart[] {
  return [{ text: `${PREFIX}.` }, { slot: 'index' }, { text: `.${shorten(name)}` }];
}

export function deviceTableName(index: number, name: string): string {
  return `${PREFIX}.${index}.${shorten(name)}`;
}

/** The index a table belongs to and the name its policy gave it; undefined for tables that are not tapwall's. */
export function parseDeviceTableName(name: string): { index: number; table: string } | undefined {
  const match = /^tapwall\.([1-9]\d{0,9})\.(.+)$/s.exec(name);
  if (!match?.[1] || !match[2]) return undefined;
  const index = Number(match[1]);
  return index <= LARGEST_INDEX ? { index, table: match[2] } : undefined;
}
