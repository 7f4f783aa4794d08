// The page: asks for a key, and shows the dashboard that the key opens.

import { Api, Refused, Unreachable } from "./api.js";
import { delay } from "./backoff.js";
import { Dashboard } from "./dashboard.js";
import { find, say } from "./elements.js";
import { forgetKey, keepKey, readKey } from "./session.js";
import { theme, turnTheme } from "./theme.js";
import { change, FIRST_VIEW, readView, writeView } from "./view.js";

const REFUSALS = new Map([
  ["wrong_role", "This is a device key. The dashboard needs a reader key."],
  ["expired_key", "This key has expired."],
  ["revoked_key", "This key was withdrawn."],
  ["malformed_key", "This is not a whole key: copy it once more."],
]);

let dashboard = null;

function showConnection({ name, reason, seconds }) {
  const chip = find("connection");
  const texts = {
    connected: "Connected",
    reconnecting: `Reconnecting: ${reason}, next try in ${Math.round(seconds)} s`,
    offline: "Offline: what is missing is fetched when the network is back",
  };
  chip.hidden = false;
  chip.dataset.state = name;
  say(chip, texts[name]);
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

function explain(error) {
  if (error instanceof Unreachable) return "The API does not answer. Try again in a moment.";
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401 || error.status === 403) return REFUSALS.get(error.code) ?? "This key opens nothing here.";
  return error.message;
}

/** Open the dashboard with a key that has been accepted. */
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
  dashboard.run();
}

function leave(error) {
  forgetKey();
  showLogIn(explain(error));
}

async function logIn(event) {
  event.preventDefault();
  const key = find("key").value.trim();
  const api = new Api(key);
  try {
    const [fleet] = await api.fleets();
    keepKey(key);
    find("key").value = "";
    open(api, fleet.fleet_id);
    find("content").focus();
  } catch (error) {
    showLogIn(explain(error));
  }
}

/** Go on with the key of this tab: the API being away is no reason to ask for it again. */
async function resume(key) {
  const api = new Api(key);
  for (let failures = 1; ; failures += 1) {
    try {
      const [fleet] = await api.fleets();
      open(api, fleet.fleet_id);
      return;
    } catch (error) {
      if (error instanceof Refused && !error.passes) {
        leave(error);
        return;
      }
      if (!(error instanceof Unreachable) && !(error instanceof Refused)) throw error;
      const seconds = delay(failures, Math.random(), error.retryAfter);
      showConnection({ name: "reconnecting", reason: "no answer", seconds });
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}

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
document.querySelector(".skip").addEventListener("click", (event) => {
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

const key = readKey();
if (key === null) showLogIn();
else resume(key);
