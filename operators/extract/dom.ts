/** As much of the DOM as is used here; the types of browsers would bring their globals into the whole project. */

export interface Node {
  readonly nodeType: number
  readonly nodeValue: string | null
  textContent: string | null
  readonly firstChild: Node | null
  readonly nextSibling: Node | null
  readonly parentNode: Node | null
}

export interface Element extends Node {
  readonly tagName: string
  readonly parentElement: Element | null
  readonly previousElementSibling: Element | null
  getAttribute(name: string): string | null
  querySelector(selector: string): Element | null
  querySelectorAll(selector: string): Iterable<Element>
  closest(selector: string): Element | null
  replaceWith(element: Element): void
  remove(): void
}

export interface Document {
  createElement(name: string): Element
  querySelectorAll(selector: string): Iterable<Element>
  readonly documentElement: Element | null
  readonly body: Element | null
  querySelector(selector: string): Element | null
}

export const elementNode = 1
export const textNode = 3
