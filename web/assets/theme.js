// Light or dark: what the system says, unless somebody says otherwise here.

const NAME = "sluice-theme";
const THEMES = ["system", "light", "dark"];

function apply(theme) {
  document.documentElement.dataset.theme = theme;
}

export function theme() {
  const kept = localStorage.getItem(NAME);
  return THEMES.includes(kept) ? kept : "system";
}

/** Go on to the next theme. */
export function turnTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  localStorage.setItem(NAME, next);
  apply(next);
  return next;
}

/** Call whoever draws with colours when they change. */
export function onColours(listener) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener);
  new MutationObserver(listener).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}

/** A colour of the style sheet, as a canvas takes it: only an element's own colour is told without its conditions. */
export function colour(name) {
  const probe = document.documentElement.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

apply(theme());
