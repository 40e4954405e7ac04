import type { Segment } from '../nftables/transaction.js';
import { type Member, memberSegment } from './member.js';
import type { MemberFacts, MemberTemplate } from './member-template.js';

/** The elements that admit one device. */
export interface Admission {
  /** True for a device that nothing admits. */
  readonly isEmpty: boolean;
  /** False where there are elements that only say why the device is closed. */
  readonly admits: boolean;
  readonly members: readonly Member[];
  /** The messages that make all of it so, and that take all of it away. */
  join(): Segment;
  leave(): Segment;
  /** True when both are the same at a glance; false may mean that they have to be compared element by element. */
  isSame(other: Admission): boolean;
}

/** Element by element, as the kernel had them. */
export class ListedAdmission implements Admission {
  readonly members: readonly Member[];

  constructor(members: readonly Member[]) {
    this.members = members;
  }

  get isEmpty(): boolean {
    return this.members.length === 0;
  }

  get admits(): boolean {
    return !this.isEmpty;
  }

  join(): Segment {
    return memberSegment('join', this.members);
  }

  leave(): Segment {
    return memberSegment('leave', this.members);
  }

  isSame(other: Admission): boolean {
    return this === other || (this.isEmpty && other.isEmpty);
  }
}

/** What admits nobody. */
export const NO_ADMISSION: Admission = new ListedAdmission([]);

/** Elements that keep a device closed and carry what is known of it. */
export class ClosedAdmission extends ListedAdmission {
  override get admits(): boolean {
    return false;
  }
}

/** By a template, which has the messages ready. The elements are made when somebody asks for them. */
export class TemplateAdmission implements Admission {
  readonly isEmpty = false;
  readonly admits = true;
  readonly #template: MemberTemplate;
  readonly #facts: MemberFacts;
  readonly #list: () => Member[];
  #members: readonly Member[] | undefined;

  constructor(template: MemberTemplate, facts: MemberFacts, list: () => Member[]) {
    this.#template = template;
    this.#facts = facts;
    this.#list = list;
  }

  get members(): readonly Member[] {
    this.#members ??= this.#list();
    return this.#members;
  }

  join(): Segment {
    return this.#template.join(this.#facts);
  }

  leave(): Segment {
    return this.#template.leave(this.#facts);
  }

  isSame(other: Admission): boolean {
    if (this === other) return true;
    if (!(other instanceof TemplateAdmission) || other.#template !== this.#template) return false;
    const [one, two] = [this.#facts, other.#facts];
    return one.index === two.index && one.macText === two.macText && one.addresses === two.addresses;
  }
}
