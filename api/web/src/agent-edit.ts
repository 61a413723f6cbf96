/** What an agent says: its name, its greeting and its prompt, changed for the next call. */

import type { Api, EditedAgent } from "./api";
import { el, icon } from "./dom";
import { requestFailure, words } from "./failures";
import { RequestFailed } from "./requests";
import { strings } from "./strings";

const MOST_NAME = 100;
const CHANGED_MEANWHILE = 412;

export class AgentEdit {
  readonly element: HTMLElement;
  readonly #title = el("h1", { tabindex: -1 }, strings.edit.title);
  readonly #message = el("p", { class: "form-message", role: "alert" });
  readonly #name = el("input", { id: "agent-name", maxlength: MOST_NAME, required: true });
  readonly #greeting = el("input", { id: "agent-greeting", placeholder: strings.edit.ownWords });
  readonly #prompt = el("textarea", { id: "agent-prompt", rows: 14, spellcheck: true });
  readonly #save = el(
    "button",
    { class: "button primary", type: "submit", disabled: true },
    strings.edit.save,
  );
  #seen: EditedAgent | null = null;

  constructor(
    private readonly api: Api,
    private readonly agentId: string,
    /** `hasChanged`: what is known of agents is to be asked anew. */
    private readonly onDone: (hasChanged: boolean) => void,
  ) {
    const back = el(
      "button",
      { class: "button", type: "button", onclick: () => this.onDone(false) },
      icon("back"),
      strings.edit.back,
    );
    const form = el(
      "form",
      { class: "card form" },
      el("label", { for: "agent-name" }, strings.edit.name),
      this.#name,
      el("label", { for: "agent-greeting" }, strings.edit.greeting),
      this.#greeting,
      el("label", { for: "agent-prompt" }, strings.edit.prompt),
      this.#prompt,
      el("p", { class: "muted small" }, strings.edit.hint),
      this.#save,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#store();
    });
    this.element = el(
      "article",
      { class: "detail" },
      el("header", { class: "detail-head" }, this.#title, back),
      this.#message,
      form,
    );
  }

  focus(): void {
    this.#title.focus({ preventScroll: true });
  }

  async load(): Promise<void> {
    try {
      const seen = await this.api.agent(this.agentId);
      const { agent } = seen;
      this.#seen = seen;
      this.#name.value = agent.agent_name;
      this.#greeting.value = agent.begin_message ?? "";
      this.#prompt.value = agent.response_engine.system_prompt ?? "";
      // An engine of the owner's own has its prompt where it runs.
      this.#prompt.disabled = agent.response_engine.type !== "call2me-llm";
      this.#save.disabled = false;
    } catch (error) {
      this.#message.textContent = words(requestFailure(error)).body;
    }
  }

  async #store(): Promise<void> {
    const seen = this.#seen;
    if (!seen) return;
    const { response_engine: engine } = seen.agent;
    this.#save.disabled = true;
    this.#message.textContent = "";
    try {
      await this.api.changeAgent(seen, {
        agent_name: this.#name.value.trim(),
        begin_message: this.#greeting.value.trim() || null,
        // It is changed as a whole: what is left out of it would be gone.
        ...(this.#prompt.disabled
          ? {}
          : { response_engine: { ...engine, system_prompt: this.#prompt.value } }),
      });
      this.onDone(true);
    } catch (error) {
      const isOld = error instanceof RequestFailed && error.status === CHANGED_MEANWHILE;
      this.#message.textContent = isOld ? strings.edit.changedMeanwhile : words(requestFailure(error)).body;
      this.#save.disabled = false;
    }
  }
}
