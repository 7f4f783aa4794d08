// The reader's key: in this tab, and nowhere else.

const NAME = "sluice-reader-key";

export function readKey() {
  return sessionStorage.getItem(NAME);
}

/** @param {string} key */
export function keepKey(key) {
  sessionStorage.setItem(NAME, key);
}

export function forgetKey() {
  sessionStorage.removeItem(NAME);
}
