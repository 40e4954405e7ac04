/** Netlink numbers, from linux/netlink.h and linux/rtnetlink.h; see netlink(7) and rtnetlink(7). */

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_KOBJECT_UEVENT = 15;

/** sizeof(struct nlmsghdr). */
export const MESSAGE_HEADER_LENGTH = 16;
/** sizeof(struct nlattr). */
export const ATTRIBUTE_HEADER_LENGTH = 4;
/** NLMSG_ALIGNTO and NLA_ALIGNTO. */
export const ALIGNMENT = 4;
/** `nla_len` is 16 bits wide, header included. */
export const MAXIMUM_ATTRIBUTE_LENGTH = 0xffff;

export const NLMSG_NOOP = 0x1;
export const NLMSG_ERROR = 0x2;
export const NLMSG_DONE = 0x3;
export const NLMSG_OVERRUN = 0x4;
/** Message types below this one are control messages of netlink itself. */
export const NLMSG_MIN_TYPE = 0x10;

export const NLM_F_REQUEST = 0x001;
export const NLM_F_MULTI = 0x002;
export const NLM_F_ACK = 0x004;
export const NLM_F_ECHO = 0x008;
/** Kernel to user: a dump was not consistent because of a change in between. */
export const NLM_F_DUMP_INTR = 0x010;

/** Modifiers of GET requests. */
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;

/** Modifiers of NEW requests. */
export const NLM_F_REPLACE = 0x100;
/** Of a deletion: only that which holds nothing. */
export const NLM_F_NONREC = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

/** Flags of an NLMSG_ERROR message. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

/** The two upper bits of `nla_type`. */
export const NLA_F_NESTED = 0x8000;
export const NLA_F_NET_BYTEORDER = 0x4000;
export const NLA_TYPE_MASK = 0x3fff;

/** enum nlmsgerr_attrs: what an extended acknowledgement may carry. */
export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;
export const NLMSGERR_ATTR_COOKIE = 3;
export const NLMSGERR_ATTR_POLICY = 4;
export const NLMSGERR_ATTR_MISS_TYPE = 5;
export const NLMSGERR_ATTR_MISS_NEST = 6;
