/** What was said and written, in order; read aloud to those who cannot see it. */

import { el } from "../dom";
import type { Words } from "./words";

type Side = "visitor" | "agent";

/** An answer that is being written. */
export interface Answer {
  readonly text: string;
  grow(delta: string): void;
  end(): void;
  drop(): void;
}

export class Log {
  readonly element: HTMLElement;
  /** Only whole sentences are announced: an answer that grows would be read a word at a time. */
  readonly #announced = el("div", { class: "hidden", "aria-live": "polite" });
  readonly #list: HTMLOListElement;
  readonly #heard = new Map<string, HTMLLIElement>();

  constructor(readonly words: Words) {
    this.#list = el("ol", { class: "log", "aria-label": words.conversation, tabindex: 0 });
    this.element = el("div", { class: "talked" }, this.#list, this.#announced);
    this.element.style.cssText = "display: contents";
  }

  add(side: Side, text: string): HTMLLIElement {
    const who = side === "visitor" && el("span", { class: "hidden" }, `${this.words.you}: `);
    const line = el("li", { class: side }, who, text);
    this.#list.append(line);
    this.toEnd();
    if (side === "agent") this.#announced.textContent = text;
    return line;
  }

  /** A line that is said: each version replaces the one before. */
  heard(id: string, side: Side, text: string): void {
    const known = this.#heard.get(id);
    if (known) known.lastChild?.replaceWith(text);
    else if (text) this.#heard.set(id, this.add(side, text));
    this.toEnd();
  }

  note(text: string, action = "", act: () => void = () => undefined): void {
    const line = el("li", { class: "note", role: "alert" }, text);
    if (action) {
      const button = el("button", { type: "button" }, action);
      button.addEventListener("click", () => {
        line.remove();
        act();
      });
      line.append(" ", button);
    }
    this.#list.append(line);
    this.toEnd();
  }

  answer(): Answer {
    const line = el("li", { class: "agent dots", "aria-label": this.words.thinking }, "•••");
    this.#list.append(line);
    this.toEnd();
    let text = "";
    return {
      get text() {
        return text;
      },
      grow: (delta) => {
        text += delta;
        line.className = "agent";
        line.removeAttribute("aria-label");
        line.textContent = text;
        this.toEnd();
      },
      end: () => {
        if (text) this.#announced.textContent = text;
        else line.remove();
      },
      drop: () => line.remove(),
    };
  }

  toEnd(): void {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}
