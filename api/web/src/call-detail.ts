/** One past call: what was said, what it sounded like, what ran. Polled until it is settled. */

import { type Api, type Call, isBridged, isOngoing, otherEnd } from "./api";
import { CaptionList, type Line } from "./caption-list";
import { el, fill, icon } from "./dom";
import { requestFailure, words } from "./failures";
import { clock } from "./latency";
import { Listening } from "./listening";
import { strings } from "./strings";
import { when } from "./when";

const POLL_MS = 700;
/** A call that goes on is looked at for as long as it lasts. */
const WATCH_MS = 2_000;
/** The recording is uploaded after the call has ended. */
const PATIENCE_MS = 15_000;

export interface Shown {
  /** Waits until the agents are known. */
  agentName: (agentId: string | null) => Promise<string>;
  /** What was heard live, shown until the record is there. */
  lines: readonly Line[];
  /** How the call ended as this page saw it; null for a call of the past. */
  ending: { reason: string; isFailure: boolean } | null;
  onBack: () => void;
  /** The record will not change any more. */
  onSettled: () => void;
}

export class CallDetail {
  readonly element: HTMLElement;
  readonly #title = el("h1", { tabindex: -1 }, strings.talk.call);
  readonly #about = el("p", { class: "muted" });
  readonly #ending = el("p", { class: "ending", role: "status" });
  readonly #sound = el("section", {
    class: "card recording",
    "aria-label": strings.calls.recording,
    hidden: true,
  });
  readonly #functions = el("section", { class: "card functions", hidden: true });
  readonly #captions = new CaptionList(false);
  readonly #listening: Listening;
  #isGone = false;
  #blob = "";
  #hasSound = false;
  #isSettled = false;

  constructor(
    private readonly api: Api,
    private readonly callId: string,
    private readonly shown: Shown,
  ) {
    const back = el(
      "button",
      { class: `button ${shown.ending ? "primary" : ""}`, type: "button", onclick: () => shown.onBack() },
      shown.ending ? icon("microphone") : icon("back"),
      shown.ending ? strings.talk.again : strings.calls.back,
    );
    this.#listening = new Listening(api, callId);
    this.element = el(
      "article",
      { class: "detail" },
      el("header", { class: "detail-head" }, el("div", {}, this.#title, this.#about), back),
      this.#ending,
      this.#listening.element,
      this.#sound,
      el("section", { class: "card" }, el("h2", {}, strings.calls.transcript), this.#captions.element),
      this.#functions,
    );
    this.#captions.show(shown.lines, strings.calls.settling);
    if (shown.ending) this.#tellEnding(shown.ending.reason, shown.ending.isFailure);
  }

  focus(): void {
    this.#title.focus({ preventScroll: true });
  }

  async load(): Promise<void> {
    const isOurs = this.shown.ending !== null;
    let wasOngoing = false;
    let patience = performance.now() + PATIENCE_MS;
    while (!this.#isGone) {
      try {
        const call = await this.api.call(this.callId);
        const agentName = await this.shown.agentName(call.agent_id);
        if (this.#isGone) return;
        const isSettled = !isOngoing(call);
        if (!isSettled && !isOurs) {
          wasOngoing = true;
          patience = performance.now() + PATIENCE_MS;
        }
        const isLate = performance.now() > patience;
        const isOld = !isOurs && !wasOngoing;
        if (isSettled && !this.#isSettled) this.shown.onSettled();
        this.#isSettled = isSettled;
        this.#title.textContent = agentName;
        this.#draw(call, isSettled || isLate || !isOurs, isLate || isOld);
        if (isLate || (isSettled && (this.#hasSound || isOld))) return;
      } catch (error) {
        if (performance.now() > patience || (!isOurs && !wasOngoing)) {
          this.#ending.textContent = words(requestFailure(error)).body;
          return;
        }
      }
      const pause = wasOngoing && !this.#isSettled ? WATCH_MS : POLL_MS;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Stops polling and playing. */
  leave(): void {
    this.#isGone = true;
    void this.#listening.leave();
    this.#sound.querySelector("audio")?.pause();
    if (this.#blob) URL.revokeObjectURL(this.#blob);
  }

  #draw(call: Call, isTold: boolean, isRecordingLate: boolean): void {
    const place = isOngoing(call) ? call.queue?.position : null;
    const status = strings.calls.status[call.call_status] ?? call.call_status;
    const length = call.duration_ms ? clock(call.duration_ms) : "";
    const other = otherEnd(call);
    const who = other ? (other.calledUs ? strings.calls.from : strings.calls.to)(other.number) : "";
    const now = place ? strings.calls.inLine(place) : status;
    this.#about.textContent = [when(call.created_at), who, length, now].filter(Boolean).join(" · ");
    if (call.engines) {
      const { stt, llm, tts } = call.engines;
      this.#about.title = strings.calls.engines(stt, llm, tts);
    }
    if (isTold) {
      const stored = linesOf(call);
      // A call that was lost in its first words has none on record; what was seen stays in sight.
      this.#captions.show(
        stored.length > 0 ? stored : this.shown.lines,
        isOngoing(call) ? strings.calls.nothingYet : strings.calls.silent,
      );
      this.#tellEnding(call.disconnection_reason ?? "", call.call_status === "failed");
    }
    this.#listening.offer(call.call_status === "in_progress", isBridged(call));
    this.#drawFunctions(call);
    if (call.recording_url && !this.#hasSound) this.#play(call.recording_url);
    else if (!call.recording_url && isTold && isRecordingLate) this.#say(strings.calls.noRecording);
  }

  #tellEnding(reason: string, isFailure: boolean): void {
    const known = strings.ended as Record<string, string>;
    const other = this.shown.ending ? strings.ended.other : "";
    const cause = reason ? el("span", { class: "ending-cause" }, reason) : null;
    if (isFailure) fill(this.#ending, known[reason] ?? strings.ended.failed, known[reason] ? null : cause);
    else this.#ending.textContent = known[reason] ?? other;
    this.#ending.classList.toggle("failed", isFailure);
  }

  #drawFunctions(call: Call): void {
    const functions = call.functions ?? [];
    this.#functions.hidden = functions.length === 0;
    const items = functions.map((ran) =>
      el(
        "li",
        {},
        el("code", {}, `${ran.name}(${Object.entries(ran.arguments).map(argument).join(", ")})`),
        el("p", { class: ran.error ? "failed" : "muted" }, ran.error ?? ran.result ?? ""),
      ),
    );
    fill(this.#functions, el("h2", {}, strings.calls.functions), el("ul", {}, ...items));
  }

  #play(url: string): void {
    this.#hasSound = true;
    const audio = el("audio", { controls: true, preload: "metadata", "aria-label": strings.calls.recording });
    const isOurs = new URL(url, location.href).origin === location.origin;
    this.#sound.hidden = false;
    fill(this.#sound, el("h2", {}, strings.calls.recording), audio);
    // A signed link plays while it loads. Where it cannot be used, the bytes are fetched whole.
    audio.addEventListener("error", () => void this.#fetch(audio), { once: true });
    if (isOurs) audio.src = url;
    else void this.#fetch(audio);
  }

  async #fetch(audio: HTMLAudioElement): Promise<void> {
    try {
      this.#blob = URL.createObjectURL(await this.api.recording(this.callId));
      audio.addEventListener("error", () => this.#say(strings.calls.recordingFailed), { once: true });
      audio.src = this.#blob;
    } catch {
      this.#say(strings.calls.recordingFailed);
    }
  }

  #say(text: string): void {
    this.#sound.hidden = false;
    fill(this.#sound, el("h2", {}, strings.calls.recording), el("p", { class: "muted" }, text));
  }
}

function linesOf(call: Call): Line[] {
  const latencies = new Map((call.turns ?? []).map((turn) => [turn.utterance_id, turn.latency]));
  return call.transcript_object.map((entry, index) => ({
    id: entry.utterance_id || String(index),
    side: entry.role,
    text: entry.text,
    isFinal: true,
    isTyped: entry.is_typed ?? false,
    wasInterrupted: entry.was_interrupted ?? false,
    latency: latencies.get(entry.utterance_id ?? "") ?? null,
  }));
}

function argument([name, value]: [string, unknown]): string {
  return `${name}=${JSON.stringify(value)}`;
}
