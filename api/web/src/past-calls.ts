/** The list of past calls. */

import { type Agent, type Api, type CallSummary, otherEnd } from "./api";
import { el, fill } from "./dom";
import { clock } from "./latency";
import { strings } from "./strings";
import { when } from "./when";

const PIECE = 20;
/** Telephones ring, and campaigns call, while the page is only looked at. */
const AGAIN_MS = 10_000;

export class PastCalls {
  readonly element: HTMLElement;
  readonly #list = el("ol", { class: "calls-list" });
  readonly #note = el("p", { class: "muted small" });
  readonly #more = el("button", { class: "button quiet", type: "button", hidden: true }, strings.calls.more);
  #limit = PIECE;
  /** Null while the agents are not known. */
  #names: Map<string, string> | null = null;
  #selected = "";
  #calls: CallSummary[] = [];
  #answer = "";
  #again: number | undefined;

  constructor(
    private readonly api: Api,
    private readonly onOpen: (callId: string) => void,
  ) {
    this.#more.addEventListener("click", () => {
      this.#limit += PIECE;
      void this.refresh();
    });
    const title = el("h2", { id: "calls-title" }, strings.calls.title);
    this.element = el(
      "nav",
      { class: "calls", "aria-labelledby": "calls-title" },
      title,
      this.#list,
      this.#note,
      this.#more,
    );
  }

  knowAgents(agents: readonly Agent[]): void {
    this.#names = new Map(agents.map((agent) => [agent.agent_id, agent.agent_name]));
    this.#draw();
  }

  nameOf(agentId: string | null): string {
    return this.#names === null
      ? strings.talk.call
      : (this.#names.get(agentId ?? "") ?? strings.calls.unknownAgent);
  }

  select(callId: string): void {
    this.#selected = callId;
    this.#draw();
  }

  /** While a call runs it is the only thing on the page. */
  lock(isLocked: boolean): void {
    this.element.inert = isLocked;
  }

  /** Keeps the list as it is on the server, for as long as it is seen. */
  follow(): void {
    this.stop();
    this.#again = window.setInterval(() => {
      if (!document.hidden && !this.element.inert) void this.refresh();
    }, AGAIN_MS);
  }

  stop(): void {
    window.clearInterval(this.#again);
  }

  /** Keeps the list that is shown where the api does not answer. */
  async refresh(): Promise<void> {
    try {
      const { calls, total } = await this.api.calls(this.#limit);
      this.#more.hidden = total <= calls.length;
      const answer = JSON.stringify(calls);
      if (answer === this.#answer) return;
      this.#answer = answer;
      this.#calls = calls;
      this.#draw();
    } catch {
      // Whatever the person does next says what is wrong.
    }
  }

  #draw(): void {
    this.#note.textContent = this.#calls.length === 0 ? strings.calls.none : "";
    const chosen = this.#list.querySelector<HTMLElement>("button:focus")?.dataset.call;
    fill(this.#list, ...this.#calls.map((call) => this.#item(call)));
    // The list may change under somebody who goes through it by keyboard.
    if (chosen)
      this.#list.querySelector<HTMLElement>(`[data-call="${chosen}"]`)?.focus({ preventScroll: true });
  }

  #item(call: CallSummary): HTMLElement {
    const agent = this.nameOf(call.agent_id);
    const moment = when(call.created_at);
    const status = strings.calls.status[call.call_status] ?? call.call_status;
    const isFailed = call.call_status === "failed";
    const length = call.duration_ms ? clock(call.duration_ms) : isFailed ? "" : status;
    const other = otherEnd(call);
    const who = other ? (other.calledUs ? strings.calls.from : strings.calls.to)(other.number) : "";
    const about = [moment, who, isFailed ? status : ""].filter(Boolean).join(" · ");
    return el(
      "li",
      {},
      el(
        "button",
        {
          class: "call-item",
          type: "button",
          "data-call": call.call_id,
          "aria-current": call.call_id === this.#selected ? "page" : null,
          "aria-label": [strings.calls.open(agent, moment), who, length, status].filter(Boolean).join(", "),
          onclick: () => this.onOpen(call.call_id),
        },
        el("span", { class: "call-agent" }, agent),
        el("span", { class: "call-length" }, length),
        el("span", { class: `call-when ${call.call_status}` }, about),
      ),
    );
  }
}
