/** A call that is going on: listen to it, whisper to its agent, talk in its place. */

import type { RemoteTrack, Room } from "livekit-client";
import { type Api, isBridged, type ListeningTicket } from "./api";
import { el, fill, icon } from "./dom";
import { requestFailure, words } from "./failures";
import { RequestFailed } from "./requests";
import { strings } from "./strings";

type State = "away" | "joining" | "listening" | "talking";

const MOST_WHISPERED = 2000;
/** Another process takes the call up when one dies, and finds whoever is in the room. */
const BACK_MS = 15_000;
/** A call whose agent has left does not come back by itself: it is asked whether there are two to hear. */
const ASKED_MS = 2_000;
/** The call's own end of the room. */
const LINE = "line";
/** Said each second: a muted microphone sends nothing, and whoever has the call may be gone. */
const HERE_TOPIC = "call2me.here";
const HERE_MS = 1_000;

export class Listening {
  readonly element: HTMLElement;
  readonly #sound = el("div", { hidden: true });
  readonly #status = el("p", { class: "muted", role: "status" });
  readonly #buttons = el("div", { class: "listening-buttons" });
  readonly #text = el("input", {
    type: "text",
    maxlength: MOST_WHISPERED,
    placeholder: strings.listening.whisperHere,
    "aria-label": strings.listening.whisper,
  });
  readonly #whisper: HTMLFormElement;
  #state: State = "away";
  #room: Room | null = null;
  #ticket: ListeningTicket | null = null;
  #away: number | undefined;
  #isBridged = false;
  #here: number | undefined;

  constructor(
    private readonly api: Api,
    private readonly callId: string,
  ) {
    const send = el("button", { class: "button small", type: "submit" }, strings.listening.whisper);
    this.#whisper = el("form", { class: "listening-whisper" }, this.#text, send);
    this.#whisper.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      if (text) void this.#do(() => this.#whispered(text));
    });
    this.element = el(
      "section",
      { class: "card listening", "aria-labelledby": "listening-title", hidden: true },
      el("h2", { id: "listening-title" }, strings.listening.title),
      this.#status,
      this.#buttons,
      this.#whisper,
      this.#sound,
    );
    this.#draw();
  }

  /** Shown only while there is something to listen to; `isAlone` once no agent is in the call any more. */
  offer(isPossible: boolean, isAlone: boolean): void {
    this.element.hidden = !isPossible && this.#state === "away";
    if (isAlone === this.#isBridged) return;
    this.#isBridged = isAlone;
    // The agent's end has left the room; that of the two who were put through comes into the same one.
    if (this.#room) void this.api.listen(this.callId).catch(() => undefined);
    if (this.#state === "talking") {
      this.#state = "listening";
      void this.#room?.localParticipant.setMicrophoneEnabled(false);
    }
    this.#draw();
  }

  async leave(): Promise<void> {
    const room = this.#room;
    window.clearTimeout(this.#away);
    window.clearInterval(this.#here);
    this.#room = this.#ticket = null;
    this.#sound.replaceChildren();
    this.#go("away");
    await room?.disconnect();
  }

  async #listen(): Promise<void> {
    this.#go("joining");
    try {
      const [{ Room, RoomEvent }, ticket] = await Promise.all([
        import("livekit-client"),
        this.api.listen(this.callId),
      ]);
      const room = new Room();
      // Kept here: a track of somebody who is gone has let go of its element already.
      const played = new Map<RemoteTrack, HTMLMediaElement>();
      room.on(RoomEvent.TrackSubscribed, (track) => {
        const element = track.attach();
        played.set(track, element);
        this.#sound.append(element);
      });
      room.on(RoomEvent.TrackUnsubscribed, (track) => {
        track.detach();
        played.get(track)?.remove();
        played.delete(track);
      });
      room.on(RoomEvent.ParticipantDisconnected, (participant) => {
        if (participant.identity !== LINE || this.#room !== room) return;
        this.#status.textContent = strings.listening.lost;
        window.clearTimeout(this.#away);
        this.#away = window.setTimeout(() => void this.#over(), BACK_MS);
        window.setTimeout(() => this.#room === room && void this.#follow(), ASKED_MS);
      });
      room.on(RoomEvent.ParticipantConnected, (participant) => {
        if (participant.identity !== LINE || this.#room !== room) return;
        window.clearTimeout(this.#away);
        this.#status.textContent = this.#now();
      });
      room.on(RoomEvent.Disconnected, () => this.#room === room && void this.#over());
      this.#room = room;
      this.#ticket = ticket;
      await room.connect(ticket.url, ticket.token);
      await room.startAudio();
      this.#here = window.setInterval(() => this.#sayHere(room), HERE_MS);
      this.#go("listening");
    } catch (error) {
      await this.leave();
      throw error;
    }
  }

  /** The two who were put through come into the same room. */
  async #follow(): Promise<void> {
    try {
      const call = await this.api.call(this.callId);
      this.offer(call.call_status === "in_progress", isBridged(call));
    } catch {
      // Whoever listens is told that there is nothing to be heard, in a moment.
    }
  }

  #sayHere(room: Room): void {
    const data = new TextEncoder().encode("here");
    // While the connection is made anew nothing can be said: the call waits for longer than that takes.
    room.localParticipant.publishData(data, { reliable: false, topic: HERE_TOPIC }).catch(() => {});
  }

  async #over(): Promise<void> {
    await this.leave();
    this.#status.textContent = strings.listening.over;
  }

  async #takeOver(): Promise<void> {
    if (!this.#room || !this.#ticket) return;
    await this.#room.localParticipant.setMicrophoneEnabled(true);
    try {
      await this.api.takeOver(this.callId, this.#ticket.participant_identity);
    } catch (error) {
      await this.#room?.localParticipant.setMicrophoneEnabled(false);
      throw error;
    }
    this.#go("talking");
  }

  async #giveBack(): Promise<void> {
    await this.api.giveBack(this.callId);
    await this.#room?.localParticipant.setMicrophoneEnabled(false);
    this.#go("listening");
  }

  async #whispered(text: string): Promise<void> {
    await this.api.whisper(this.callId, text);
    this.#text.value = "";
    this.#status.textContent = strings.listening.whispered;
  }

  async #do(act: () => Promise<void>): Promise<void> {
    this.#buttons.inert = true;
    try {
      await act();
    } catch (error) {
      const said = error instanceof RequestFailed && error.status < 500 ? error.detail : "";
      this.#status.textContent = said || words(requestFailure(error)).body;
    } finally {
      this.#buttons.inert = false;
    }
  }

  #go(state: State): void {
    this.#state = state;
    this.#draw();
  }

  #now(): string {
    const { listening } = strings;
    return this.#isBridged && this.#state === "talking" ? listening.joined : listening.state[this.#state];
  }

  #draw(): void {
    this.#status.textContent = this.#now();
    this.#whisper.hidden = this.#state !== "listening" || this.#isBridged;
    const button = (text: string, act: () => Promise<void>, kind = "") =>
      el("button", { class: `button ${kind}`, type: "button", onclick: () => void this.#do(act) }, text);
    const { listening } = strings;
    const buttons: Record<State, HTMLElement[]> = {
      away: [button(listening.listen, () => this.#listen(), "primary")],
      joining: [],
      listening: [
        button(this.#isBridged ? listening.join : listening.takeOver, () => this.#takeOver(), "primary"),
        button(listening.leave, () => this.leave(), "quiet"),
      ],
      talking: [
        button(listening.giveBack, () => this.#giveBack(), "primary"),
        button(listening.leave, () => this.leave(), "quiet"),
      ],
    };
    fill(this.#buttons, this.#state === "talking" ? icon("microphone") : null, ...buttons[this.#state]);
  }
}
