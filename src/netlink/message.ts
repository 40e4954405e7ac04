import { TapwallError } from '../error.js';
import { type Attribute, attributeSize, writeAttributes } from './attribute.js';
import { align, HOST_LITTLE_ENDIAN, viewOf } from './bytes.js';
import { MESSAGE_HEADER_LENGTH } from './constants.js';

/** A netlink message: the fields of struct nlmsghdr, and what follows it. */
export interface Message {
  type: number;
  flags: number;
  sequence: number;
  portId: number;
  /** Everything behind the header, without the padding to the next message. */
  payload: Uint8Array;
}

/**
 * Splits what one or more datagrams held into messages. Payloads are views into `bytes`.
 * @throws TapwallError MALFORMED_MESSAGE on a length that lies or a header that is cut off.
 */
export function parseMessages(bytes: Uint8Array): Message[] {
  const view = viewOf(bytes);
  const messages: Message[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const left = bytes.length - offset;
    if (left < MESSAGE_HEADER_LENGTH) {
      throw new TapwallError(
        'MALFORMED_MESSAGE',
        `malformed netlink message: ${left} bytes left for a header`,
      );
    }
    const length = view.getUint32(offset, HOST_LITTLE_ENDIAN);
    if (length < MESSAGE_HEADER_LENGTH || length > left) {
      throw new TapwallError(
        'MALFORMED_MESSAGE',
        `malformed netlink message: length ${length} at offset ${offset} of ${bytes.length}`,
      );
    }
    messages.push({
      type: view.getUint16(offset + 4, HOST_LITTLE_ENDIAN),
      flags: view.getUint16(offset + 6, HOST_LITTLE_ENDIAN),
      sequence: view.getUint32(offset + 8, HOST_LITTLE_ENDIAN),
      portId: view.getUint32(offset + 12, HOST_LITTLE_ENDIAN),
      payload: bytes.subarray(offset + MESSAGE_HEADER_LENGTH, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

export function writeHeader(
  target: Uint8Array,
  offset: number,
  header: { length: number; type: number; flags: number; sequence: number; portId?: number },
): void {
  const view = viewOf(target);
  view.setUint32(offset, header.length, HOST_LITTLE_ENDIAN);
  view.setUint16(offset + 4, header.type, HOST_LITTLE_ENDIAN);
  view.setUint16(offset + 6, header.flags, HOST_LITTLE_ENDIAN);
  view.setUint32(offset + 8, header.sequence, HOST_LITTLE_ENDIAN);
  view.setUint32(offset + 12, header.portId ?? 0, HOST_LITTLE_ENDIAN);
}

/** A request before it has a sequence number: a family header (nfgenmsg, ifinfomsg, …) and attributes. */
export interface Request {
  type: number;
  flags: number;
  familyHeader: Uint8Array;
  attributes: readonly Attribute[];
}

/** Bytes of one request, padded to the alignment so that another may follow. */
export function encodeRequest(request: Request, sequence: number): Uint8Array {
  let length = MESSAGE_HEADER_LENGTH + align(request.familyHeader.length);
  const attributesAt = length;
  for (const attribute of request.attributes) length += attributeSize(attribute);
  const bytes = new Uint8Array(length);
  writeHeader(bytes, 0, { length, type: request.type, flags: request.flags, sequence });
  bytes.set(request.familyHeader, MESSAGE_HEADER_LENGTH);
  writeAttributes(bytes, attributesAt, request.attributes);
  return bytes;
}

/** Writes a parsed message back, byte for byte, padded to the alignment. */
export function encodeMessage(message: Message): Uint8Array {
  const length = MESSAGE_HEADER_LENGTH + message.payload.length;
  const bytes = new Uint8Array(align(length));
  writeHeader(bytes, 0, { ...message, length });
  bytes.set(message.payload, MESSAGE_HEADER_LENGTH);
  return bytes;
}
