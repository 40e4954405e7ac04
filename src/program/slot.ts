/**
 * A slot is a place in a program's bytes that depends on the device. Fixed slots are written over bytes of the
 * same length; the text slots have the length of what is written, so a program has one byte layout per length.
 */

/** The facts about one device that slots are filled with. */
export interface DeviceFacts {
  /** Interface index. */
  index: number;
  /** Interface name, at most 15 bytes. */
  name: string;
  /** `52:54:00:aa:bb:cc`; empty when the device has none. */
  mac: string;
  /** Who asked for the attachment. */
  origin: Origin;
  /** The indexes of the other links that the program's rules name. */
  links: ReadonlyMap<string, number>;
  /** Whose the tables are; nobody's unless given. */
  ownership?: Ownership;
}

/**
 * Whose a table is. `own`: the socket's that makes it, which it outlives (6.9). `lent`: nobody's, but somebody can take
 * it over. `none`: nobody's for ever.
 */
export type Ownership = 'own' | 'lent' | 'none';

/** An agent keeps an attachment in line with its configuration; a manual one stays until it is detached. */
export type Origin = 'agent' | 'manual';

/** A slot of fixed length inside an attribute's payload. */
export type FixedSlot =
  /** 15 bytes: the name, padded with NULs. */
  | { kind: 'name'; offset: number }
  /** 4 bytes: the index (or that of another link), plus `add`, in host or network order. */
  | { kind: 'index'; offset: number; order: 'host' | 'network'; add: 0 | 1; link?: string }
  /** 17 bytes: the MAC as text, padded with NULs. */
  | { kind: 'mac'; offset: number }
  /** 16 bytes: the program's digest as text. It cannot be part of what it is the digest of. */
  | { kind: 'digest'; offset: number }
  /** 1 byte: `a` or `m`. */
  | { kind: 'origin'; offset: number };

/** A piece of a NUL-terminated string. */
export type TextPart = { text: string } | { slot: 'name' | 'index' };

/** Bytes that a name slot covers: IFNAMSIZ less the NUL, which stays where it is. */
export const NAME_SLOT_LENGTH = 15;
export const MAC_SLOT_LENGTH = 17;
export const DIGEST_SLOT_LENGTH = 16;

export function slotLength(slot: FixedSlot): number {
  switch (slot.kind) {
    case 'name':
      return NAME_SLOT_LENGTH;
    case 'index':
      return 4;
    case 'mac':
      return MAC_SLOT_LENGTH;
    case 'digest':
      return DIGEST_SLOT_LENGTH;
    case 'origin':
      return 1;
  }
}
