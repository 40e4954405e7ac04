import type { KernelCapabilities } from '../kernel/probe.js';
import type { Markers } from '../program/template.js';

/**
 * What the compiler's parent and child say to each other: one JSON object a line, requests on the child's standard
 * input, answers on its descriptor 3. libnftables may print on the standard descriptors as it likes.
 */
export const ANSWER_DESCRIPTOR = 3;

/** The child's first line: it runs, with its libraries loaded. */
export const READY = { ready: true } as const;

export type Request = CompileRequest | ListingRequest | ProbeRequest | TablesRequest;

/** Try what the kernel can do. */
export interface ProbeRequest {
  id: number;
  kind: 'probe';
}

/** Make a chain on a name prefix, with a rule, and let libnftables list it. */
export interface ListingRequest {
  id: number;
  kind: 'list-prefix';
}

/** Let libnftables list tables of a namespace that is in use. */
export interface TablesRequest {
  id: number;
  kind: 'list-tables';
  /** A path to it. */
  namespace: string;
  /** Of the netdev family. */
  tables: string[];
}

export interface CompileRequest {
  id: number;
  kind: 'compile';
  /** The policy's text. */
  text: string;
  /** Where relative includes start; undefined for a text that has none. */
  directory: string | undefined;
  /** User variables; `intf` is added per pass. */
  variables: Record<string, string>;
  /** The text is compiled once for each, in a namespace of its own. */
  passes: Markers[];
  /** Also give back what nft prints of the result. */
  listing: boolean;
}

export type Answer = CompileAnswer | ListingAnswer | ProbeAnswer | TablesAnswer;

export interface ProbeAnswer {
  id: number;
  status: 'probed';
  capabilities: KernelCapabilities;
}

export interface TablesAnswer {
  id: number;
  status: 'printed';
  text: string;
}

export interface ListingAnswer {
  id: number;
  /** `unmade`: the kernel has no such chains. */
  status: 'listed' | 'not-listed' | 'unmade';
}

export interface CompiledPass {
  /** Every message of the dumps, in base64. */
  dump: string;
  /** Milliseconds from before the policy was loaded to after it was dumped. */
  elapsedMs: number;
}

export type CompileAnswer =
  | {
      id: number;
      status: 'compiled';
      passes: CompiledPass[];
      listing?: string;
    }
  | {
      id: number;
      /** libnftables said no. */
      status: 'refused';
      /** The name under which the text appears in `error`. */
      file: string;
      error: string;
    }
  | {
      id: number;
      /** The scratch namespace could not be made, read or filled. */
      status: 'failed';
      error: { code: string; message: string };
    };
