// Makes elements. What the API answers is other people's text: it becomes text here, and nothing else.

/**
 * Find what the page is sure to have.
 * @overload
 * @param {string} id
 * @returns {HTMLElement}
 *
 * @template {HTMLElement} Kind
 * @overload
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 *
 * @param {string} id
 * @param {new () => HTMLElement} kind
 */
export function find(id, kind = HTMLElement) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} ${id}`);
  return found;
}

/**
 * Make an element with attributes and children, which are elements or text.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | boolean>} attributes
 * @param {(Node | string)[]} children
 */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(attribute, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/**
 * Set a text only where it differs, so that nothing is announced twice.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
