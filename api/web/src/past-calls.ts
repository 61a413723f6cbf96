/** The list of past calls. */

import type { Agent, Api, CallSummary } from "./api";
import { el, fill } from "./dom";
import { clock } from "./latency";
import { strings } from "./strings";
import { when } from "./when";

const PIECE = 20;

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

  /** Keeps the list that is shown where the api does not answer. */
  async refresh(): Promise<void> {
    try {
      const { calls, total } = await this.api.calls(this.#limit);
      this.#calls = calls;
      this.#more.hidden = total <= calls.length;
      this.#draw();
    } catch {
      // Whatever the person does next says what is wrong.
    }
  }

  #draw(): void {
    this.#note.textContent = this.#calls.length === 0 ? strings.calls.none : "";
    fill(this.#list, ...this.#calls.map((call) => this.#item(call)));
  }

  #item(call: CallSummary): HTMLElement {
    const agent = this.nameOf(call.agent_id);
    const moment = when(call.created_at);
    const status = strings.calls.status[call.call_status] ?? call.call_status;
    const isFailed = call.call_status === "failed";
    const length = call.duration_ms ? clock(call.duration_ms) : isFailed ? "" : status;
    return el(
      "li",
      {},
      el(
        "button",
        {
          class: "call-item",
          type: "button",
          "aria-current": call.call_id === this.#selected ? "page" : null,
          "aria-label": [strings.calls.open(agent, moment), length, status].filter(Boolean).join(", "),
          onclick: () => this.onOpen(call.call_id),
        },
        el("span", { class: "call-agent" }, agent),
        el("span", { class: "call-length" }, length),
        el("span", { class: `call-when ${call.call_status}` }, isFailed ? `${moment} · ${status}` : moment),
      ),
    );
  }
}
