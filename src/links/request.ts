import { type Attribute, encodeAttributes, leaf, nest } from '../netlink/attribute.js';
import { concatenate, cString, HOST_LITTLE_ENDIAN, host32, viewOf } from '../netlink/bytes.js';
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST } from '../netlink/constants.js';
import type { Request } from '../netlink/message.js';
import {
  IFF_ALLMULTI,
  IFF_UP,
  IFINFOMSG_LENGTH,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_MACVLAN_MODE,
  IFLA_NET_NS_FD,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
  VETH_INFO_PEER,
} from './constants.js';

/**
 * Link requests. The agent only asks (GETLINK); the others build the throw-away namespaces of the compiler,
 * the demonstration and the tests.
 */

/** The bytes of struct ifinfomsg, AF_UNSPEC. */
function linkHeader(index = 0, flags = 0, change = 0): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG_LENGTH);
  const view = viewOf(bytes);
  view.setInt32(4, index, HOST_LITTLE_ENDIAN);
  view.setUint32(8, flags, HOST_LITTLE_ENDIAN);
  view.setUint32(12, change, HOST_LITTLE_ENDIAN);
  return bytes;
}

export function dumpLinks(): Request {
  return { type: RTM_GETLINK, flags: NLM_F_REQUEST | NLM_F_DUMP, familyHeader: linkHeader(), attributes: [] };
}

/** The kernel answers with one RTM_NEWLINK message, or ENODEV. */
export function getLink(which: { index: number } | { name: string }): Request {
  const byIndex = 'index' in which;
  return {
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST,
    familyHeader: linkHeader(byIndex ? which.index : 0),
    attributes: byIndex ? [] : [leaf(IFLA_IFNAME, cString(which.name))],
  };
}

export interface NewLink {
  name: string;
  kind: string;
  /** The index to have; 0 or absent lets the kernel choose. */
  index?: number;
  mac?: Uint8Array;
  parentIndex?: number;
  /** MACVLAN_MODE_*, for a macvtap. */
  mode?: number;
  peer?: {
    name: string;
    /** Descriptor of the network namespace that the peer is born in. */
    namespace?: number;
  };
}

function linkData(link: NewLink): Attribute[] {
  if (link.mode !== undefined) return [nest(IFLA_INFO_DATA, [leaf(IFLA_MACVLAN_MODE, host32(link.mode))])];
  if (!link.peer) return [];
  const attributes: Attribute[] = [leaf(IFLA_IFNAME, cString(link.peer.name))];
  if (link.peer.namespace !== undefined) attributes.push(leaf(IFLA_NET_NS_FD, host32(link.peer.namespace)));
  const peer = concatenate([linkHeader(), encodeAttributes(attributes)]);
  return [nest(IFLA_INFO_DATA, [leaf(VETH_INFO_PEER, peer)])];
}

export function newLink(link: NewLink): Request {
  const attributes: Attribute[] = [leaf(IFLA_IFNAME, cString(link.name))];
  if (link.mac) attributes.push(leaf(IFLA_ADDRESS, link.mac));
  if (link.parentIndex !== undefined) attributes.push(leaf(IFLA_LINK, host32(link.parentIndex)));
  attributes.push(nest(IFLA_LINKINFO, [leaf(IFLA_INFO_KIND, cString(link.kind)), ...linkData(link)]));
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    familyHeader: linkHeader(link.index),
    attributes,
  };
}

export function setLinkUp(index: number, up = true): Request {
  return {
    type: RTM_SETLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    familyHeader: linkHeader(index, up ? IFF_UP : 0, IFF_UP),
    attributes: [],
  };
}

/** Lets a link hear every multicast group, joined or not. */
export function setLinkAllMulticast(index: number): Request {
  return {
    type: RTM_SETLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    familyHeader: linkHeader(index, IFF_ALLMULTI, IFF_ALLMULTI),
    attributes: [],
  };
}

export function renameLink(index: number, name: string): Request {
  return {
    type: RTM_SETLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    familyHeader: linkHeader(index),
    attributes: [leaf(IFLA_IFNAME, cString(name))],
  };
}

export function deleteLink(index: number): Request {
  return {
    type: RTM_DELLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    familyHeader: linkHeader(index),
    attributes: [],
  };
}
