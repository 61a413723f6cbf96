/** What was said so far, merged from text streams that arrive in pieces, twice or late. */

import type { Latency } from "./latency";

export type Side = "user" | "agent";

export interface Caption {
  readonly id: string;
  readonly side: Side;
  readonly text: string;
  /** False while the words may still change. */
  readonly isFinal: boolean;
  readonly isTyped: boolean;
  readonly latency: Latency | null;
}

export interface Heard {
  /** The same for every version of one stretch of speech. */
  segmentId: string;
  side: Side;
  /** All of the segment that is known now, not only what is new. */
  text: string;
  isFinal: boolean;
}

/**
 * The lines of one conversation, in the order in which they began.
 *
 *     user   interim "what time", interim "what time do you", final "What time do you open?"
 *     agent  "We", "We open", "We open at eight.", final
 */
export class Captions {
  #lines: Caption[] = [];
  #typed = 0;
  /** A timing that came before its words. */
  #untold: Latency | null = null;

  get lines(): readonly Caption[] {
    return this.#lines;
  }

  /** Returns the line that changed, or null where the news was old or empty. */
  hear(heard: Heard): Caption | null {
    const text = heard.text.replace(/\s+/g, " ").trim();
    const index = this.#lines.findIndex((line) => line.id === heard.segmentId);
    const known = this.#lines[index];
    if (known?.isFinal) return null;
    if (text === "") return heard.isFinal && known ? this.#settle(index, known) : null;
    if (known) return this.#put(index, { ...known, text, isFinal: heard.isFinal });
    this.#settleEarlier(heard.side);
    const { segmentId: id, side, isFinal } = heard;
    const latency = side === "agent" ? this.#untold : null;
    if (side === "agent") this.#untold = null;
    return this.#put(this.#lines.length, { id, side, text, isFinal, isTyped: false, latency });
  }

  /** What a person wrote is final at once. */
  type(text: string): Caption {
    this.#typed += 1;
    const id = `typed-${this.#typed}`;
    return this.#put(this.#lines.length, {
      id,
      side: "user",
      text,
      isFinal: true,
      isTyped: true,
      latency: null,
    });
  }

  /** A turn's timing arrives apart from its words: it belongs to the agent's newest line without one. */
  time(latency: Latency): Caption | null {
    const index = this.#lines.findLastIndex((line) => line.side === "agent");
    const line = this.#lines[index];
    if (line && line.latency === null) return this.#put(index, { ...line, latency });
    this.#untold = latency;
    return null;
  }

  /** Nothing more will come: what was said stays as it is. */
  close(): void {
    this.#lines = this.#lines.map((line) => (line.isFinal ? line : { ...line, isFinal: true }));
  }

  #put(index: number, line: Caption): Caption {
    this.#lines[index] = line;
    return line;
  }

  #settle(index: number, line: Caption): Caption {
    return this.#put(index, { ...line, isFinal: true });
  }

  /** A side that begins anew has finished what it was saying, even where nobody said so. */
  #settleEarlier(side: Side): void {
    this.#lines.forEach((line, index) => {
      if (line.side === side && !line.isFinal) this.#settle(index, line);
    });
  }
}
