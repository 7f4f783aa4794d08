// The page's heartbeat: does its work every few seconds, and after a failure waits longer each time until it is back.

import { Refused, Unreachable } from "./api.js";
import { delay } from "./backoff.js";

/** @typedef {{ name: "connected" | "offline" } | { name: "reconnecting", reason: string, seconds: number }} State */

export const BEAT_SECONDS = 2;

export class Pulse {
  #beat;
  #onState;
  #onDefeat;
  #stopped = false;
  #failures = 0;
  #hurried = false;
  #wake = () => {};

  /**
   * `beat` does the work, `onState` gets its state, `onDefeat` hears when the key gives no access.
   * @param {{ beat: () => Promise<void>, onState: (state: State) => void, onDefeat: (refused: Refused) => void }} session
   */
  constructor({ beat, onState, onDefeat }) {
    this.#beat = beat;
    this.#onState = onState;
    this.#onDefeat = onDefeat;
  }

  async run() {
    // The browser's network events are hints: try at once when it is back, and report a loss at once.
    const back = () => this.hurry();
    const gone = () => this.#onState({ name: "offline" });
    addEventListener("online", back);
    addEventListener("offline", gone);
    document.addEventListener("visibilitychange", back);
    while (!this.#stopped) await this.#once();
    removeEventListener("online", back);
    removeEventListener("offline", gone);
    document.removeEventListener("visibilitychange", back);
  }

  /** Do not wait: the reader asked for something, or the network is back. */
  hurry() {
    this.#hurried = true;
    this.#wake();
  }

  stop() {
    this.#stopped = true;
    this.#wake();
  }

  async #once() {
    this.#hurried = false;
    try {
      await this.#beat();
      this.#failures = 0;
      if (!this.#stopped) this.#onState({ name: "connected" });
      await this.#wait(BEAT_SECONDS);
      // The page is hidden. It fetches the changes when it is visible again.
      while (document.hidden && !this.#stopped) {
        // Becoming hidden wakes us too. If kept, that signal would end every wait at once, and the page would stop.
        this.#hurried = false;
        await this.#wait(60);
      }
    } catch (error) {
      if (this.#stopped) return;
      if (error instanceof Refused && error.needsKey) {
        this.#onDefeat(error);
        return;
      }
      const foreseen = error instanceof Refused || error instanceof Unreachable;
      // Our own error goes to the console, and does not stop the page either.
      if (!foreseen) reportError(error);
      this.#failures += 1;
      const seconds = delay(this.#failures, Math.random(), error instanceof Refused ? error.retryAfter : 0);
      const reason = error instanceof Refused ? error.message : foreseen ? "no answer" : "the page failed";
      this.#onState(navigator.onLine ? { name: "reconnecting", reason, seconds } : { name: "offline" });
      await this.#wait(seconds);
    }
  }

  /** @param {number} seconds */
  async #wait(seconds) {
    if (this.#hurried || this.#stopped) return;
    /** @type {PromiseWithResolvers<void>} */
    const { promise, resolve } = Promise.withResolvers();
    const timer = setTimeout(resolve, seconds * 1000);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
    this.#wake = () => {};
  }
}
