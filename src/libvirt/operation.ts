/** Those of libvirt's operations that the hook does something at. */
export const HOOK_OPERATIONS = ['start', 'reconnect', 'release'] as const;
export type HookOperation = (typeof HOOK_OPERATIONS)[number];

/** Bytes of a domain's XML. With all that can be in one it is some 20 KB; the program of the hook sends no more. */
export const LARGEST_DOMAIN_BYTES = 512 << 10;
