import type { TemplateAttribute } from './template.js';

/** One message of a program, with slots where the device's facts go. */
export interface ProgramMessage {
  /** NFT_MSG_*. */
  operation: number;
  /** Netlink flags, on top of NLM_F_REQUEST. */
  flags: number;
  /** What an error calls it: `NEWCHAIN filterin`. */
  label: string;
  attributes: TemplateAttribute[];
}

/** A policy compiled: what to send to give it to one device. Plain data, safe to post to a worker. */
export interface Program {
  /** The policy's name. */
  policy: string;
  /** 16 hexadecimal digits over everything that is installed: equal digests filter alike. */
  digest: string;
  /** The tables the policy makes, by the names the user gave them. */
  tables: string[];
  /** In the order in which the kernel wants them. */
  messages: ProgramMessage[];
  /** Which directions have at least one base chain. */
  hooks: { ingress: boolean; egress: boolean };
  /** Other links that the rules name, whose indexes are filled in when a device is attached. */
  links: string[];
}
