import { createHash } from 'node:crypto';
import type { ProgramMessage } from './program.js';
import { equalTemplates, type TemplateAttribute } from './template.js';

/** The first message in which two compilations of one policy differ. */
export function firstDifference(
  a: readonly ProgramMessage[],
  b: readonly ProgramMessage[],
): string | undefined {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const left = a[index];
    const right = b[index];
    if (!left || !right || left.label !== right.label || left.attributes.length !== right.attributes.length) {
      return (left ?? right)?.label;
    }
    const equal = left.attributes.every((attribute, at) => {
      const other = right.attributes[at];
      return other !== undefined && equalTemplates(attribute, other);
    });
    if (!equal) return left.label;
  }
  return undefined;
}

/** 16 hexadecimal digits over messages, slots included. */
export function digestOf(messages: readonly ProgramMessage[]): string {
  const hash = createHash('sha256');
  const add = (attribute: TemplateAttribute): void => {
    hash.update(`${attribute.type}:${attribute.flags}:`);
    if ('value' in attribute) {
      hash
        .update(`v${attribute.value.length}:`)
        .update(attribute.value)
        .update(JSON.stringify(attribute.slots ?? []));
    } else if ('text' in attribute) {
      hash.update(`t${JSON.stringify(attribute.text)}`);
    } else {
      hash.update(`n${attribute.nested.length}:`);
      attribute.nested.forEach(add);
    }
  };
  for (const { operation, flags, attributes } of messages) {
    hash.update(`m${operation}:${flags}:${attributes.length}:`);
    attributes.forEach(add);
  }
  return hash.digest('hex').slice(0, 16);
}

/** The other links whose indexes the messages want, sorted. */
export function linksIn(messages: readonly ProgramMessage[]): string[] {
  const links = new Set<string>();
  const visit = (attribute: TemplateAttribute): void => {
    if ('nested' in attribute) attribute.nested.forEach(visit);
    else if ('slots' in attribute) {
      for (const slot of attribute.slots ?? []) if (slot.kind === 'index' && slot.link) links.add(slot.link);
    }
  };
  for (const { attributes } of messages) attributes.forEach(visit);
  return [...links].sort();
}
