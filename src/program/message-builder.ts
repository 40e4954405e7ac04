import type { Attribute, LeafAttribute } from '../netlink/attribute.js';
import {
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFTA_EXPR_DATA,
  NFTA_EXPR_NAME,
  NFTA_HOOK_DEV,
  NFTA_LOG_PREFIX,
  NFTA_RULE_EXPRESSIONS,
  NFTA_TABLE_NAME,
} from '../nftables/constants.js';
import type { ProgramMessage } from './program.js';
import type { TextPart } from './slot.js';
import { type Markers, Marking, openNest, type TemplateAttribute } from './template.js';

/** Turns what the kernel holds into what to send it, with slots for the device. */
export class MessageBuilder {
  readonly messages: ProgramMessage[] = [];
  readonly marking: Marking;

  /** How the kernel is to call a table of the policy. */
  readonly #tableName: (table: string) => TextPart[];

  constructor(markers: Markers, tableName: (table: string) => TextPart[]) {
    this.marking = new Marking(markers);
    this.#tableName = tableName;
  }

  add(
    operation: number,
    flags: number,
    label: string,
    table: string,
    attributes: readonly Attribute[],
  ): void {
    this.messages.push({
      operation,
      flags,
      label,
      attributes: attributes.map((attribute) => this.#template(attribute, operation, table)),
    });
  }

  #template(attribute: Attribute, operation: number, table: string): TemplateAttribute {
    // The table's name is attribute 1 of every nf_tables object.
    if (attribute.type === NFTA_TABLE_NAME) {
      return { type: attribute.type, flags: attribute.flags, text: this.#tableName(table) };
    }
    if (operation === NFT_MSG_NEWCHAIN && 'nested' in attribute) return this.#hook(attribute);
    if (operation === NFT_MSG_NEWRULE && attribute.type === NFTA_RULE_EXPRESSIONS)
      return this.#expressions(attribute);
    return this.marking.mark(attribute);
  }

  /** In a hook the device's name is a string of its own length, not a padded field. */
  #hook(hook: Attribute & { nested: Attribute[] }): TemplateAttribute {
    return {
      type: hook.type,
      flags: hook.flags,
      nested: hook.nested.map((attribute) =>
        attribute.type === NFTA_HOOK_DEV && 'value' in attribute
          ? this.marking.markText(attribute)
          : this.marking.mark(attribute),
      ),
    };
  }

  /** Of all expressions only a log prefix holds a string whose length may change. */
  #expressions(attribute: Attribute): TemplateAttribute {
    if (!('nested' in attribute)) return this.marking.mark(attribute);
    return {
      type: attribute.type,
      flags: attribute.flags,
      nested: attribute.nested.map((expression) =>
        isLog(expression) ? this.#log(expression) : this.marking.mark(expression),
      ),
    };
  }

  #log(expression: Attribute & { nested: Attribute[] }): TemplateAttribute {
    return {
      type: expression.type,
      flags: expression.flags,
      nested: expression.nested.map((part) => {
        if (part.type !== NFTA_EXPR_DATA || !('value' in part)) return this.marking.mark(part);
        const data = openNest(part);
        if (!('nested' in data)) return this.marking.mark(part);
        return {
          type: part.type,
          flags: part.flags,
          nested: data.nested.map((inner) =>
            inner.type === NFTA_LOG_PREFIX && 'value' in inner
              ? this.marking.markText(inner)
              : this.marking.mark(inner),
          ),
        };
      }),
    };
  }
}

function isLog(expression: Attribute): expression is Attribute & { nested: Attribute[] } {
  if (!('nested' in expression)) return false;
  const name = expression.nested.find(
    (part): part is LeafAttribute => part.type === NFTA_EXPR_NAME && 'value' in part,
  );
  return name !== undefined && Buffer.from(name.value).toString('latin1') === 'log\0';
}
