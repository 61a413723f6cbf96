/** The stage: whom to talk with, the button, and the conversation as it happens. */

import type { Agent } from "./api";
import { CaptionList } from "./caption-list";
import { Controls } from "./controls";
import type { Conversation } from "./conversation";
import { el, fill, icon } from "./dom";
import type { Action } from "./failures";
import { Meter } from "./meter";
import { Notices } from "./notices";
import { strings } from "./strings";

const CHOSEN = "call2me.agent";

export class Talk {
  readonly element: HTMLElement;
  readonly #agents = el("select", { id: "agent", class: "select" });
  readonly #edit = el("a", { class: "button quiet small", href: "#/" }, strings.agent.edit);
  readonly #picker: HTMLElement;
  readonly #start: HTMLButtonElement;
  readonly #type: HTMLButtonElement;
  readonly #orb = el("div", { class: "orb" });
  readonly #state = el("p", { class: "state", role: "status" });
  readonly #meter: Meter;
  readonly #controls: Controls;
  readonly #notices: Notices;
  readonly #captions = new CaptionList(true);
  readonly #speech: HTMLElement;
  #wasByMicrophone = true;

  constructor(private readonly conversation: Conversation) {
    this.#meter = new Meter(conversation.levels);
    this.#controls = new Controls(conversation);
    this.#notices = new Notices((action) => this.#act(action));
    this.#start = el(
      "button",
      { class: "talk-button", type: "button", onclick: () => this.#begin(true) },
      icon("microphone"),
      strings.talk.start,
    );
    this.#type = el(
      "button",
      { class: "button quiet", type: "button", onclick: () => this.#begin(false) },
      icon("keyboard"),
      strings.talk.type,
    );
    this.#picker = el(
      "div",
      { class: "picker" },
      el("label", { for: "agent" }, strings.agent.label),
      this.#agents,
      this.#edit,
    );
    this.#agents.addEventListener("change", () => {
      keep(this.#agents.value);
      this.#point();
    });
    this.#speech = el(
      "section",
      { class: "speech", "aria-label": strings.talk.conversation },
      this.#captions.element,
      this.#controls.composer,
    );
    this.element = el(
      "div",
      { class: "talk" },
      el("h1", { class: "hidden", tabindex: -1 }, strings.talk.call),
      el(
        "section",
        { class: "stage" },
        this.#picker,
        this.#orb,
        this.#state,
        this.#controls.element,
        this.#type,
      ),
      this.#notices.element,
      this.#speech,
    );
    this.#follow();
    this.#draw();
  }

  get agentName(): string {
    return this.#agents.selectedOptions[0]?.textContent ?? strings.agentSide;
  }

  know(agents: readonly Agent[]): void {
    const chosen = kept();
    const options = agents.map((agent) =>
      el("option", { value: agent.agent_id, selected: agent.agent_id === chosen }, agent.agent_name),
    );
    fill(this.#agents, ...options);
    this.#start.disabled = this.#type.disabled = agents.length === 0;
    this.#agents.disabled = this.#edit.hidden = agents.length === 0;
    this.#point();
    if (agents.length === 0) this.#notices.warn(strings.agent.none);
  }

  #point(): void {
    this.#edit.setAttribute("href", `#/agents/${this.#agents.value}`);
  }

  focus(): void {
    this.#start.focus({ preventScroll: true });
  }

  /** A fresh stage after a call. */
  reset(): void {
    this.#notices.clear();
    this.#captions.clear();
    this.#draw();
  }

  toggleMute(): void {
    const { isTalking, hasMicrophone } = this.conversation;
    if (hasMicrophone && isTalking) void this.#controls.toggleMute();
  }

  #begin(byMicrophone: boolean): void {
    this.#wasByMicrophone = byMicrophone;
    this.#notices.clear();
    this.#captions.clear();
    this.#controls.reset();
    void this.conversation.start(this.#agents.value, byMicrophone);
  }

  #act(action: Action): void {
    if (action === "retry") {
      // During a call it is the microphone that is tried again.
      if (this.conversation.isOn) void this.#controls.toggleMute();
      else this.#begin(this.#wasByMicrophone);
    } else if (action === "type") this.#begin(false);
    else if (action === "wait") this.conversation.keepWaiting();
    else if (action === "hang_up") void this.conversation.hangUp();
    else if (action === "play") void this.conversation.playSound();
    else location.reload();
  }

  #follow(): void {
    const { events } = this.conversation;
    events.on("phase", () => this.#draw());
    events.on("agentState", () => this.#draw());
    events.on("microphone", () => this.#draw());
    events.on("captions", (captions) => this.#captions.show(captions.lines, strings.talk.quiet));
    events.on("ran", ({ name, hasFailed }) =>
      this.#captions.note(hasFailed ? strings.ranFailed(name) : strings.ran(name)),
    );
    events.on("warning", ({ message }) => this.#notices.warn(message));
    events.on("failure", (failure) => {
      const { isOn, isTalking } = this.conversation;
      this.#notices.fail(failure, isTalking ? ["type"] : isOn ? ["type", "retry"] : []);
    });
  }

  #draw(): void {
    const { phase, agentState, isOn, isTalking } = this.conversation;
    this.element.dataset.phase = phase;
    this.#orb.dataset.state = isTalking && phase !== "reconnecting" ? (agentState ?? "waiting") : "waiting";
    const wanted = isOn ? this.#meter.element : this.#start;
    if (this.#orb.firstElementChild !== wanted) fill(this.#orb, wanted);
    this.#picker.hidden = isOn;
    this.#type.hidden = isOn;
    this.#controls.element.hidden = !isOn;
    this.#controls.element.classList.toggle("only-hang-up", !isTalking);
    this.#speech.hidden = !isTalking;
    this.#state.textContent = this.#words();
    this.#state.hidden = !isOn;
    this.#meter.follow(phase === "live" ? agentState : null);
    if (isOn) this.#meter.start();
    else this.#meter.stop();
    if (phase === "live" && !this.conversation.hasMicrophone && document.activeElement === document.body) {
      this.#controls.focusText();
    }
  }

  #words(): string {
    const { phase, agentState, isMuted, hasMicrophone } = this.conversation;
    switch (phase) {
      case "asking":
        return strings.state.asking;
      case "connecting":
        return strings.state.connecting;
      case "waiting":
        return strings.state.waiting(this.agentName);
      case "reconnecting":
        return strings.state.reconnecting;
      case "live":
        if (this.conversation.isOnHold) return strings.state.held;
        if (agentState === null) return strings.state.greeting;
        if (agentState !== "listening") return strings.state[agentState];
        if (!hasMicrophone) return strings.state.noMicrophone;
        return isMuted ? strings.state.muted : strings.state.listening;
      default:
        return "";
    }
  }
}

function kept(): string {
  try {
    return localStorage.getItem(CHOSEN) ?? "";
  } catch {
    return "";
  }
}

function keep(agentId: string): void {
  try {
    localStorage.setItem(CHOSEN, agentId);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
