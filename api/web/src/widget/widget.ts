/** The widget itself: a button in the corner, a panel with the conversation, behind a shadow root. */

import { el, icon } from "../dom";
import { type Backend, type Config, Failed } from "./backend";
import { plain, readableOn } from "./colour";
import { Log } from "./log";
import type { Memory } from "./memory";
import { STYLE } from "./style";
import { NoMicrophone, type State, Talking } from "./talking";
import { type Words, wordsOf } from "./words";

export class Widget {
  readonly #words: Words;
  readonly #launcher: HTMLButtonElement;
  readonly #panel: HTMLElement;
  readonly #log: Log;
  readonly #box: HTMLTextAreaElement;
  readonly #form: HTMLFormElement;
  readonly #send: HTMLButtonElement;
  readonly #talk: HTMLButtonElement;
  readonly #bar = el("div", { class: "voice", hidden: true });
  readonly #status = el("p", { role: "status" });
  readonly #mute: HTMLButtonElement;
  readonly #playSound: HTMLButtonElement;
  readonly #sound = el("div", { hidden: true });
  #talking: Talking | null = null;
  #isAnswering = false;
  #isGreeted = false;

  constructor(
    readonly host: HTMLElement,
    readonly config: Config,
    readonly backend: Backend,
    readonly memory: Memory,
    readonly isPage: boolean,
  ) {
    const words = wordsOf(config.language);
    this.#words = words;
    this.#log = new Log(words);
    this.#launcher = el(
      "button",
      { class: "launcher", type: "button", "aria-label": words.open, "aria-expanded": "false" },
      this.#face() ?? icon("chat"),
    );
    this.#launcher.addEventListener("click", () => (this.#panel.hidden ? this.open(true) : this.close()));
    this.#box = el("textarea", {
      rows: 1,
      maxlength: 4000,
      placeholder: config.placeholder_text,
      "aria-label": words.message,
      onkeydown: ((event: KeyboardEvent) => this.#typed(event)) as EventListener,
    });
    this.#send = el("button", { type: "submit", "aria-label": words.send }, icon("send"));
    this.#form = el(
      "form",
      {
        hidden: config.voice_mode === "voice",
        onsubmit: (event: Event) => {
          event.preventDefault();
          void this.#write();
        },
      },
      this.#box,
      this.#send,
    );
    this.#talk = el("button", { class: "talk", type: "button" }, icon("microphone"), words.talk);
    this.#talk.hidden = config.voice_mode === "chat";
    this.#talk.addEventListener("click", () => void this.#beginTalking());
    this.#mute = el("button", { type: "button", "aria-pressed": "false" }, words.mute);
    this.#mute.addEventListener("click", () => void this.#toggleMute());
    this.#playSound = el("button", { type: "button", hidden: true }, words.playSound);
    this.#playSound.addEventListener("click", () => void this.#talking?.playSound());
    const end = el("button", { class: "end", type: "button" }, words.hangUp);
    end.addEventListener("click", () => void this.#talking?.end());
    this.#bar.append(this.#status, this.#playSound, this.#mute, end);
    this.#panel = this.#drawn();
    this.#draw();
  }

  /** Says hello, and opens by itself where its owner wants that and the visitor did not close it before. */
  begin(): void {
    if (this.config.greeting_message) this.#log.add("agent", this.config.greeting_message);
    for (const line of this.memory.lines) this.#log.add(line.side, line.text);
    const { auto_open, auto_open_delay_ms } = this.config;
    if (this.isPage) this.open(true);
    else if (auto_open && !this.memory.wasClosed)
      setTimeout(() => {
        if (!this.memory.wasClosed) this.open(false);
      }, auto_open_delay_ms);
  }

  /** `takesFocus` is false where nobody asked for it: whoever writes elsewhere is not interrupted. */
  open(takesFocus: boolean): void {
    this.#panel.hidden = false;
    this.host.toggleAttribute("data-open", true);
    this.#launcher.setAttribute("aria-expanded", "true");
    this.#launcher.setAttribute("aria-label", this.#words.close);
    this.#log.toEnd();
    if (takesFocus) (this.#form.hidden ? this.#talk : this.#box).focus();
    this.#greetAloud();
  }

  close(): void {
    if (this.isPage) return;
    this.#panel.hidden = true;
    this.host.toggleAttribute("data-open", false);
    this.#launcher.setAttribute("aria-expanded", "false");
    this.#launcher.setAttribute("aria-label", this.#words.open);
    this.memory.closed();
    void this.#talking?.end();
    this.#launcher.focus();
  }

  #drawn(): HTMLElement {
    const { config } = this;
    const close = el("button", { type: "button", "aria-label": this.#words.close }, icon("close"));
    close.hidden = this.isPage;
    close.addEventListener("click", () => this.close());
    const face = this.#face();
    const title = el("h2", { id: "title" }, config.name || config.agent_name);
    const header = el("header", {}, face && el("div", { class: "face" }, face), title, close);
    return el(
      "section",
      {
        class: "panel",
        role: this.isPage ? "main" : "dialog",
        "aria-labelledby": "title",
        hidden: true,
        lang: config.language,
        onkeydown: ((event: KeyboardEvent) => {
          if (event.key === "Escape") this.close();
        }) as EventListener,
      },
      this.isPage && this.#brand(),
      header,
      this.#log.element,
      this.#bar,
      this.#talk,
      this.#form,
      this.#footer(),
      this.#sound,
    );
  }

  #brand(): HTMLElement | null {
    const { app_name, logo_url, accent_color } = this.config.brand ?? {};
    if (!app_name && !logo_url) return null;
    const logo = logo_url && el("img", { src: logo_url, alt: "", referrerpolicy: "no-referrer" });
    const bar = el("div", { class: "brand" }, logo || null, app_name);
    if (accent_color) bar.style.borderColor = plain(accent_color);
    return bar;
  }

  #footer(): HTMLElement | null {
    const { brand, show_branding } = this.config;
    const help = this.isPage && brand?.support_email;
    if (!help && !show_branding) return null;
    return el(
      "footer",
      {},
      help ? el("a", { href: `mailto:${help}` }, help) : null,
      show_branding && el("span", {}, this.#words.powered),
    );
  }

  #draw(): void {
    const { host, config } = this;
    const colour = plain(config.primary_color);
    host.toggleAttribute("data-page", this.isPage);
    if (config.position === "bottom-left") host.dataset.side = "left";
    host.style.setProperty("--accent", colour);
    host.style.setProperty("--on-accent", readableOn(colour));
    const root = host.attachShadow({ mode: "open" });
    // A sheet that is constructed needs no hole in the page's Content-Security-Policy.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    // What a page says about every element reaches the host, and would be inherited from it.
    root.append(el("div", { class: "root" }, this.#panel, this.#launcher));
  }

  #face(): HTMLImageElement | null {
    const { avatar_url } = this.config;
    return avatar_url ? el("img", { src: avatar_url, alt: "", referrerpolicy: "no-referrer" }) : null;
  }

  #typed(event: KeyboardEvent): void {
    // A word that is still being composed (Japanese, Chinese) ends with Enter too.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void this.#write();
  }

  async #write(): Promise<void> {
    const text = this.#box.value.trim();
    if (!text || this.#isAnswering) return;
    this.#box.value = "";
    this.#log.add("visitor", text);
    this.memory.add({ side: "visitor", text });
    await this.#ask(text);
  }

  async #ask(text: string): Promise<void> {
    this.#isAnswering = this.#send.disabled = true;
    const answer = this.#log.answer();
    try {
      for await (const delta of this.backend.answer(text, this.memory.visitor)) answer.grow(delta);
      answer.end();
      this.memory.add({ side: "agent", text: answer.text });
    } catch (error) {
      answer.drop();
      this.#log.note(this.#sentence(error), this.#words.again, () => void this.#ask(text));
    } finally {
      this.#isAnswering = this.#send.disabled = false;
    }
  }

  async #beginTalking(): Promise<void> {
    if (this.#talking) return;
    if (!window.isSecureContext || !navigator.mediaDevices) {
      this.#log.note(this.#words.insecure);
      return;
    }
    const talking = new Talking(this.backend, this.memory.visitor, this.#sound, {
      state: (state) => this.#state(state),
      heard: (id, side, text, isFinal) => {
        this.#log.heard(id, side, text);
        if (isFinal && text) this.memory.add({ side, text });
      },
      soundBlocked: (isBlocked) => {
        this.#playSound.hidden = !isBlocked;
      },
      ended: () => this.#ended(),
    });
    this.#talking = talking;
    this.#talk.hidden = true;
    this.#bar.hidden = false;
    this.#form.hidden = true; // what is written goes to a chat, what is said to a call: one at a time
    try {
      await talking.begin();
    } catch (error) {
      await talking.end();
      this.#ended();
      if (error instanceof DOMException && error.name === "AbortError") return;
      this.#log.note(this.#sentence(error));
    }
  }

  #state(state: State): void {
    this.#bar.dataset.state = state === "waiting" || state === "reconnecting" ? "connecting" : state;
    this.#status.textContent = this.#words[state];
  }

  #ended(): void {
    if (!this.#talking) return;
    this.#talking = null;
    this.#bar.hidden = true;
    this.#talk.hidden = false;
    this.#form.hidden = this.config.voice_mode === "voice";
    this.#mute.setAttribute("aria-pressed", "false");
    this.#mute.textContent = this.#words.mute;
    this.#log.note(this.#words.ended);
    if (!this.#panel.hidden) this.#talk.focus();
  }

  async #toggleMute(): Promise<void> {
    const isMuted = this.#mute.getAttribute("aria-pressed") !== "true";
    await this.#talking?.mute(isMuted);
    this.#mute.setAttribute("aria-pressed", String(isMuted));
    this.#mute.textContent = isMuted ? this.#words.unmute : this.#words.mute;
  }

  #greetAloud(): void {
    const { greeting_audio_url } = this.config;
    if (this.#isGreeted || !greeting_audio_url || this.memory.lines.length > 0) return;
    this.#isGreeted = true;
    // A browser plays nothing before the visitor did something; then the greeting is only read.
    new Audio(greeting_audio_url).play().catch(() => undefined);
  }

  #sentence(error: unknown): string {
    const words = this.#words;
    if (error instanceof NoMicrophone) return words.noMicrophone;
    if (!(error instanceof Failed)) return words.failed;
    if (error.status === 0) return words.offline;
    if (error.status === 429 || error.status === 409) return words.busy;
    return error.status >= 400 && error.status !== 422 ? words.closedNow : words.failed;
  }
}
