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
   * `beat` does the work, `onState` hears how it goes, `onDefeat` hears that the key opens nothing any more.
   * @param {{ beat: () => Promise<void>, onState: (state: State) => void, onDefeat: (refused: Refused) => void }} session
   */
  constructor({ beat, onState, onDefeat }) {
    this.#beat = beat;
    this.#onState = onState;
    this.#onDefeat = onDefeat;
  }

  async run() {
    // What the browser says of the network is a hint: a return is worth a try at once, and a loss worth saying at once.
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

  /** Do not wait: somebody has asked for something, or the network is back. */
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
      // Nobody looks: what changes meanwhile is fetched when somebody does.
      while (document.hidden && !this.#stopped) {
        // To be hidden wakes us too: left standing, that would make every wait end at once, and the page stand still.
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
      // A mistake of ours is told where developers look, and is no reason to stand still either.
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
