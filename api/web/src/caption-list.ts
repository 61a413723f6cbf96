/** The lines of a conversation on the page, and read aloud by a screen reader once they are whole. */

import type { Caption } from "./captions";
import { el, fill } from "./dom";
import { duration, type Latency, parts, total } from "./latency";
import { strings } from "./strings";

export interface Line extends Omit<Caption, "side"> {
  /** A supervisor talked in the agent's place; a note was said by nobody. */
  side: Caption["side"] | "supervisor" | "person" | "note";
  wasInterrupted?: boolean;
}

export class CaptionList {
  readonly element: HTMLElement;
  readonly #list = el("ol", { class: "captions" });
  readonly #empty = el("p", { class: "captions-empty muted" });
  readonly #spoken = el("div", {
    class: "hidden",
    role: "log",
    "aria-live": "polite",
    "aria-relevant": "additions",
  });
  readonly #shown = new Map<string, { item: HTMLElement; line: Line }>();

  /** `isLive`: finished lines are announced, and the newest is kept in sight. */
  constructor(private readonly isLive: boolean) {
    this.element = el("div", { class: "captions-frame" }, this.#empty, this.#list, isLive && this.#spoken);
  }

  show(lines: readonly Line[], emptyText: string): void {
    this.#empty.textContent = lines.length === 0 ? emptyText : "";
    const ids = new Set(lines.map((line) => line.id));
    for (const [id, { item }] of this.#shown) {
      if (!ids.has(id)) {
        item.remove();
        this.#shown.delete(id);
      }
    }
    if (lines.length === 0) this.#spoken.replaceChildren();
    const wasAtEnd = this.#isAtEnd();
    for (const line of lines) this.#put(line);
    if (this.isLive && wasAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** Something that happened between two lines, such as a function that ran. */
  note(text: string): void {
    const wasAtEnd = this.#isAtEnd();
    this.#empty.textContent = "";
    this.#list.append(el("li", { class: "caption-note" }, text));
    if (wasAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  clear(): void {
    this.#shown.clear();
    this.#list.replaceChildren();
    this.#spoken.replaceChildren();
  }

  #put(line: Line): void {
    const known = this.#shown.get(line.id);
    // Of a call that goes on all lines come anew: what was opened or chosen in one of them stays.
    if (known && (known.line === line || JSON.stringify(known.line) === JSON.stringify(line))) return;
    const item = known?.item ?? el("li");
    if (!known) this.#list.append(item);
    if (line.side === "note") {
      item.className = "caption-note";
      fill(item, line.text);
      this.#shown.set(line.id, { item, line });
      return;
    }
    const place = line.side === "user" ? "user" : "agent";
    item.className = `caption ${place}${line.isFinal ? "" : " interim"}`;
    fill(item, ...content(line));
    if (this.isLive && line.isFinal && !known?.line.isFinal) this.#announce(line);
    this.#shown.set(line.id, { item, line });
  }

  #announce(line: Line): void {
    this.#spoken.append(el("p", {}, `${who(line)}: ${line.text}`));
    while (this.#spoken.childElementCount > 20) this.#spoken.firstElementChild?.remove();
  }

  #isAtEnd(): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < 60;
  }
}

function content(line: Line): (HTMLElement | null)[] {
  const marks = [line.isTyped ? strings.typed : "", line.wasInterrupted ? strings.interrupted : ""].filter(
    Boolean,
  );
  return [
    el("span", { class: "caption-who" }, [who(line), ...marks].join(" · ")),
    el("p", { class: "caption-text", dir: "auto" }, line.text),
    line.latency ? timing(line.latency) : null,
  ];
}

function who(line: Line): string {
  if (line.side === "supervisor") return strings.supervisorSide;
  if (line.side === "person") return strings.personSide;
  return line.side === "user" ? strings.you : strings.agentSide;
}

/** One line that says the whole, with a bar of its parts; opened, each part by name. */
function timing(latency: Latency): HTMLElement | null {
  const whole = total(latency);
  if (whole === null) return null;
  const stages = parts(latency);
  const bar = el("span", { class: "timing-bar", "aria-hidden": "true" });
  for (const { name, ms } of stages) {
    const segment = el("span", { class: `timing-part ${name}` });
    segment.style.setProperty("flex-grow", String(Math.max(ms, whole / 200)));
    bar.append(segment);
  }
  const rows = stages.map(({ name, label, ms }) => row(label, ms, name));
  if (typeof latency.stt_ms === "number") rows.push(row(strings.latency.heard, latency.stt_ms, ""));
  return el(
    "details",
    { class: "timing" },
    el("summary", {}, bar, strings.latency.answered(duration(whole))),
    el("dl", {}, ...rows),
  );
}

function row(label: string, ms: number, name: string): HTMLElement {
  return el("div", { class: `timing-row ${name}` }, el("dt", {}, label), el("dd", {}, duration(ms)));
}
