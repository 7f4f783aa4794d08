// Light or dark: what the system says, unless the reader chose otherwise here.

const NAME = "sluice-theme";
const THEMES = ["system", "light", "dark"];

/** @param {string} name */
function apply(name) {
  document.documentElement.dataset.theme = name;
}

export function theme() {
  const kept = localStorage.getItem(NAME) ?? "system";
  return THEMES.includes(kept) ? kept : "system";
}

/** Go on to the next theme. */
export function turnTheme() {
  const next = THEMES[THEMES.indexOf(theme()) + 1] ?? "system";
  localStorage.setItem(NAME, next);
  apply(next);
  return next;
}

/**
 * Call a listener, which draws with colours, when they change.
 * @param {() => void} listener
 */
export function onColours(listener) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener);
  new MutationObserver(listener).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}

/**
 * A colour of the style sheet, as a canvas takes it: the browser resolves light and dark only for an element's colour.
 * @param {string} name
 */
export function colour(name) {
  const probe = document.documentElement.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

apply(theme());
