/** What can be done during a call: mute, choose the microphone, hang up, type. */

import type { Conversation } from "./conversation";
import { el, fill, icon } from "./dom";
import { chooseMicrophone, chosenMicrophone, microphones, onDevicesChanged } from "./microphone";
import { strings } from "./strings";

export class Controls {
  readonly element: HTMLElement;
  readonly composer: HTMLFormElement;
  readonly #mute = el("button", {
    class: "button",
    type: "button",
    "aria-keyshortcuts": "m",
    title: strings.talk.keys,
  });
  readonly #devices = el("select", { class: "select compact", "aria-label": strings.talk.microphone });
  readonly #text = el("input", {
    class: "composer-text",
    type: "text",
    maxlength: 2000,
    autocomplete: "off",
    enterkeyhint: "send",
    "aria-label": strings.talk.write,
    placeholder: strings.talk.writeHere,
  });
  readonly #problem = el("p", { class: "composer-problem", role: "alert" });
  readonly #send = el(
    "button",
    { class: "button icon-only primary", type: "submit", "aria-label": strings.talk.send },
    icon("send"),
  );

  constructor(private readonly conversation: Conversation) {
    const hangUp = el(
      "button",
      { class: "button danger", type: "button", onclick: () => void conversation.hangUp() },
      icon("hangUp"),
      strings.talk.hangUp,
    );
    this.element = el("div", { class: "controls" }, this.#mute, this.#devices, hangUp);
    this.composer = el("form", { class: "composer" }, this.#text, this.#send, this.#problem);
    this.composer.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#write();
    });
    this.#mute.addEventListener("click", () => void this.toggleMute());
    this.#devices.addEventListener("change", () => {
      chooseMicrophone(this.#devices.value);
      void conversation.useMicrophone(this.#devices.value);
    });
    onDevicesChanged(() => void this.listDevices());
    conversation.events.on("microphone", () => this.#draw());
    this.#draw();
  }

  async toggleMute(): Promise<void> {
    const { isMuted, hasMicrophone } = this.conversation;
    this.#mute.disabled = true;
    await this.conversation.setMuted(hasMicrophone && !isMuted);
    this.#mute.disabled = false;
    void this.listDevices();
  }

  async listDevices(): Promise<void> {
    const found = await microphones();
    const chosen = chosenMicrophone();
    const options = found
      .filter((device) => device.deviceId !== "default" && device.deviceId !== "communications")
      .map((device) =>
        el("option", { value: device.deviceId, selected: device.deviceId === chosen }, device.label),
      );
    const isKnown = found.some((device) => device.deviceId === chosen);
    fill(
      this.#devices,
      el("option", { value: "", selected: !isKnown }, strings.talk.defaultMicrophone),
      ...options,
    );
    this.#devices.hidden = options.length === 0 || !this.conversation.hasMicrophone;
  }

  focusText(): void {
    this.#text.focus();
  }

  reset(): void {
    this.#text.value = "";
    this.#problem.textContent = "";
  }

  #draw(): void {
    const { isMuted, hasMicrophone } = this.conversation;
    const isOpen = hasMicrophone && !isMuted;
    const name = hasMicrophone ? (isMuted ? strings.talk.unmute : strings.talk.mute) : strings.talk.turnOn;
    fill(this.#mute, icon(isOpen ? "microphone" : "muted"), name);
    this.#mute.classList.toggle("off", hasMicrophone && isMuted);
    void this.listDevices();
  }

  async #write(): Promise<void> {
    const text = this.#text.value.trim();
    if (!text) return;
    this.#send.disabled = true;
    this.#problem.textContent = "";
    try {
      await this.conversation.write(text);
      this.#text.value = "";
    } catch {
      this.#problem.textContent = strings.talk.notSent;
    } finally {
      this.#send.disabled = false;
      this.#text.focus();
    }
  }
}
