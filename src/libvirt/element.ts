import type { Element, Node } from '@xmldom/xmldom';

/** The child elements of a name in a namespace, libvirt's own unless given, which has none. */
export function childrenOf(parent: Element, name: string, namespace: string | null = null): Element[] {
  const found: Element[] = [];
  for (let child: Node | null = parent.firstChild; child; child = child.nextSibling) {
    if (child.nodeType !== child.ELEMENT_NODE) continue;
    const element = child as Element;
    if (element.localName === name && (element.namespaceURI || null) === namespace) found.push(element);
  }
  return found;
}

export function firstChild(
  parent: Element | undefined,
  name: string,
  namespace?: string,
): Element | undefined {
  return parent && childrenOf(parent, name, namespace)[0];
}

/** Undefined also for an empty one. */
export function attributeOf(element: Element | undefined, name: string): string | undefined {
  return element?.getAttribute(name) || undefined;
}

/** All text in it without the space around; undefined for an element that is not there. */
export function textOf(element: Element | undefined): string | undefined {
  return element?.textContent?.trim();
}
