/** Link numbers, from linux/rtnetlink.h, linux/if_link.h and linux/if.h; see rtnetlink(7). */

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

/** RTNLGRP_LINK: the multicast group of link events. */
export const RTNLGRP_LINK = 1;

/** The family of messages about links themselves (socket(2)); others are about what a link is part of. */
export const AF_UNSPEC = 0;

/** sizeof(struct ifinfomsg). */
export const IFINFOMSG_LENGTH = 16;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_LINK = 5;
export const IFLA_LINKINFO = 18;
export const IFLA_NET_NS_FD = 28;
export const IFLA_IFALIAS = 20;
export const IFLA_EXT_MASK = 29;
export const IFLA_LINK_NETNSID = 37;

export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;

/** IFLA_INFO_DATA of macvlan and macvtap: enum macvlan_mode. */
export const IFLA_MACVLAN_MODE = 1;
export const MACVLAN_MODE_BRIDGE = 4;
export const MACVLAN_MODE_PASSTHRU = 8;

/** IFLA_INFO_DATA of veth (linux/veth.h): the peer, as an ifinfomsg and attributes. */
export const VETH_INFO_PEER = 1;

export const IFF_UP = 0x1;
export const IFF_ALLMULTI = 0x200;

/** Longest interface name in bytes: IFNAMSIZ less the NUL. */
export const MAXIMUM_NAME_LENGTH = 15;
