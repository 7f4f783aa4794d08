// The page: asks for a key, and shows the dashboard of the key's fleet.

import { Api, Refused, Unreachable } from "./api.js";
import { delay } from "./backoff.js";
import { Dashboard } from "./dashboard.js";
import { find, say } from "./elements.js";
import { forgetKey, keepKey, readKey } from "./session.js";
import { theme, turnTheme } from "./theme.js";
import { change, FIRST_VIEW, readView, writeView } from "./view.js";

/** @import { State } from "./pulse.js" */

const REFUSALS = new Map([
  ["wrong_role", "This is a device key. The dashboard needs a reader key."],
  ["expired_key", "This key has expired."],
  ["revoked_key", "This key was withdrawn."],
  ["malformed_key", "This key is incomplete. Copy it again."],
]);

/** @type {Dashboard | null} */
let dashboard = null;

/** @param {State} state */
function showConnection(state) {
  const chip = find("connection");
  chip.hidden = false;
  chip.dataset.state = state.name;
  say(chip, writeConnection(state));
}

/** @param {State} state */
function writeConnection(state) {
  if (state.name === "reconnecting") return `Reconnecting: ${state.reason}, next try in ${Math.round(state.seconds)} s`;
  return state.name === "connected" ? "Connected" : "Offline: the page catches up when the network is back";
}

function showLogIn(message = "") {
  dashboard?.stop();
  dashboard = null;
  for (const id of ["dashboard", "log-out", "connection"]) find(id).hidden = true;
  say(find("fleet-name"), "");
  find("log-in").hidden = false;
  say(find("key-error"), message);
  find("key").setAttribute("aria-invalid", String(message !== ""));
  find("key").focus();
}

/** @param {unknown} error */
function explain(error) {
  if (error instanceof Unreachable) return "The API does not answer. Try again in a moment.";
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401 || error.status === 403)
    return REFUSALS.get(error.code ?? "") ?? "This key gives no access here.";
  return error.message;
}

/**
 * Open the dashboard with a key that has been accepted.
 * @param {Api} api
 * @param {string} fleet
 */
function open(api, fleet) {
  find("log-in").hidden = true;
  for (const id of ["dashboard", "log-out"]) find(id).hidden = false;
  say(find("fleet-name"), fleet);
  document.title = `${fleet} · Sluice`;
  const asked = readView(location.hash);
  const other = asked.fleet !== null && asked.fleet !== fleet;
  const view = change(other ? FIRST_VIEW : asked, { fleet });
  history.replaceState(null, "", writeView(view));
  dashboard = new Dashboard({
    api,
    fleet,
    view,
    onView: (next) => history.pushState(null, "", writeView(next)),
    onState: showConnection,
    onDefeat: leave,
  });
  if (other) say(find("scope-error"), `The link shows fleet ${asked.fleet}, which this key does not read.`);
  // It handles its own failures, until it is stopped.
  void dashboard.run();
}

/** @param {Refused} error */
function leave(error) {
  forgetKey();
  showLogIn(explain(error));
}

/** @param {Event} event */
async function logIn(event) {
  event.preventDefault();
  const field = find("key", HTMLInputElement);
  const key = field.value.trim();
  const api = new Api(key);
  try {
    const fleet = await api.fleet();
    keepKey(key);
    field.value = "";
    open(api, fleet);
    find("content").focus();
  } catch (error) {
    showLogIn(explain(error));
  }
}

/**
 * Continue with the key of this tab. Do not ask for it again while the API is down.
 * @param {string} key
 */
async function resume(key) {
  const api = new Api(key);
  for (let failures = 1; ; failures += 1) {
    try {
      open(api, await api.fleet());
      return;
    } catch (error) {
      if (error instanceof Refused && !error.passes) {
        leave(error);
        return;
      }
      if (!(error instanceof Unreachable || error instanceof Refused)) throw error;
      const seconds = delay(failures, Math.random(), error instanceof Refused ? error.retryAfter : 0);
      showConnection({ name: "reconnecting", reason: "no answer", seconds });
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}

/** @param {string} name */
function showTheme(name) {
  say(find("theme"), `Theme: ${name}`);
}

showTheme(theme());
find("theme").addEventListener("click", () => showTheme(turnTheme()));
find("log-in-form").addEventListener("submit", logIn);
find("log-out").addEventListener("click", () => {
  forgetKey();
  history.replaceState(null, "", location.pathname);
  document.title = "Sluice";
  showLogIn();
});
find("skip").addEventListener("click", (event) => {
  // Followed, the link would take the place of the view in the address.
  event.preventDefault();
  find("content").focus();
});
addEventListener("popstate", () => {
  if (dashboard === null) return;
  const view = readView(location.hash);
  // What the address says wrongly is not kept in it.
  history.replaceState(null, "", writeView(view));
  dashboard.show(view);
});

const kept = readKey();
if (kept === null) showLogIn();
// An error thrown here is our fault. The browser reports it.
else void resume(kept);
