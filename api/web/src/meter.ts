/** Five calm bars that move with the voice that has the floor. */

import { el } from "./dom";
import type { Levels } from "./levels";
import type { AgentState } from "./room";

const BARS = 5;
/** Bars take the bands from the middle outwards, so that a voice swells in the centre. */
const BAND_OF_BAR = [3, 1, 0, 2, 4] as const;
const REST = 0.12;

export class Meter {
  readonly element: HTMLElement;
  readonly #bars: HTMLElement[];
  readonly #shown = new Array<number>(BARS).fill(REST);
  #frame = 0;
  #state: AgentState | null = null;

  constructor(private readonly levels: Levels) {
    this.#bars = Array.from({ length: BARS }, () => el("span", { class: "meter-bar" }));
    this.element = el("div", { class: "meter", "aria-hidden": "true" }, ...this.#bars);
  }

  /** Who is to be seen: the agent while it speaks, otherwise the person. */
  follow(state: AgentState | null): void {
    this.#state = state;
    this.element.dataset.state = state ?? "waiting";
  }

  /** Stays still for those who asked for less motion: the state stands beside it in words. */
  start(): void {
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.#frame === 0 && !isStill) this.#draw();
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #draw(): void {
    const bands = this.levels.read(this.#state === "speaking" ? "agent" : "user");
    this.#bars.forEach((bar, index) => {
      const wanted = Math.max(REST, bands[BAND_OF_BAR[index] ?? 0] ?? 0);
      const now = this.#shown[index] ?? REST;
      // Quick to rise, slow to fall: eyes follow that more easily than the raw level.
      const next = now + (wanted - now) * (wanted > now ? 0.4 : 0.12);
      this.#shown[index] = next;
      bar.style.setProperty("--level", next.toFixed(3));
    });
    this.#frame = requestAnimationFrame(() => this.#draw());
  }
}
