/** One conversation from the press of a button to its end. Views show it; nothing here draws. */

import type { Api, Ticket, Warning } from "./api";
import { Captions } from "./captions";
import type { ConversationEvents, Phase } from "./conversation-events";
import { Cancelled, Failed, loadRoom, openMicrophone } from "./entry";
import { Emitter } from "./events";
import { type Code, connectionFailure, type Failure, microphoneFailure, requestFailure } from "./failures";
import { Levels } from "./levels";
import type { LiveEvent } from "./live-events";
import { chosenMicrophone, isMicrophoneAllowedHere } from "./microphone";
import { findNetwork } from "./network";
import type { AgentState, CallRoom, Closing, LocalAudioTrack } from "./room";

const AGENT_MS = 10_000;
const GHOST_MS = 8_000;

export class Conversation {
  readonly events = new Emitter<ConversationEvents>();
  readonly levels = new Levels();
  captions = new Captions();
  phase: Phase = "idle";
  agentState: AgentState | null = null;
  callId = "";
  isMuted = false;
  /** The call is on hold: music is heard in the place of the agent. */
  isOnHold = false;
  hasMicrophone = false;
  #room: CallRoom | null = null;
  #isAgentHere = false;
  #ending: { reason: string; isFailure: boolean } | null = null;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #warned = new Set<string>();
  #shown: Code | null = null;
  #attempt = 0;

  constructor(
    private readonly api: Api,
    private readonly sound: HTMLElement,
  ) {}

  get isOn(): boolean {
    return this.phase !== "idle" && this.phase !== "ended";
  }

  /** True from the moment the room was entered. */
  get isTalking(): boolean {
    return this.phase === "waiting" || this.phase === "live" || this.phase === "reconnecting";
  }

  async start(agentId: string, wantsMicrophone: boolean): Promise<void> {
    if (this.isOn) return;
    this.#reset();
    const attempt = ++this.#attempt;
    const goOn = () => {
      if (attempt !== this.#attempt) throw new Cancelled();
    };
    this.levels.open();
    let microphone: LocalAudioTrack | null = null;
    let room: CallRoom | null = null;
    try {
      this.#to(wantsMicrophone ? "asking" : "connecting");
      const module = await loadRoom();
      if (wantsMicrophone) microphone = await openMicrophone(module);
      goOn();
      this.#to("connecting");
      const ticket = await this.#ticket(agentId);
      goOn();
      room = new module.CallRoom(this.sound);
      await this.#enter(room, ticket, microphone);
      goOn();
      this.#clear("no_network");
      this.#to(this.#isAgentHere ? "live" : "waiting");
      this.#waitForAgent();
    } catch (error) {
      microphone?.stop();
      await room?.leave().catch(() => undefined);
      if (error instanceof Cancelled || attempt !== this.#attempt) return;
      this.#room = null;
      this.levels.close();
      this.#to("idle");
      this.#fail(error instanceof Failed ? error.failure : { code: "unexpected" });
    }
  }

  async hangUp(): Promise<void> {
    if (this.phase === "asking" || this.phase === "connecting") {
      this.#attempt += 1; // start() tidies up when it next looks
      this.levels.close();
      this.#to("idle");
      return;
    }
    this.#ending ??= { reason: "user_hangup", isFailure: false };
    await this.#room?.leave().catch(() => undefined);
    this.#close();
  }

  /** Turns the microphone on in a call that began without one. */
  async setMuted(isMuted: boolean): Promise<void> {
    if (!this.#room || (isMuted && !this.hasMicrophone)) return;
    try {
      if (!isMuted && !isMicrophoneAllowedHere()) throw new TypeError("insecure");
      const stream = await this.#room.setMicrophone(!isMuted, chosenMicrophone());
      this.isMuted = isMuted;
      this.hasMicrophone = true;
      if (stream) this.levels.watch("user", stream);
      this.#tellMicrophone();
      this.#clear();
    } catch (error) {
      this.#fail(microphoneFailure(error));
    }
  }

  async useMicrophone(deviceId: string): Promise<void> {
    if (!this.#room || !this.hasMicrophone) return;
    try {
      this.levels.watch("user", await this.#room.switchMicrophone(deviceId));
    } catch (error) {
      this.#fail(microphoneFailure(error));
    }
  }

  /** Raises where the message could not be sent. */
  async write(text: string): Promise<void> {
    if (!this.#room) throw new Error("no call");
    await this.#room.write(text);
    this.captions.type(text);
    this.events.emit("captions", this.captions);
  }

  async playSound(): Promise<void> {
    await this.#room?.playSound();
  }

  keepWaiting(): void {
    this.#waitForAgent();
    this.#clear();
  }

  async #ticket(agentId: string): Promise<Ticket> {
    // Asked first: a call's record is not worth making where no sound can leave.
    const network = await findNetwork();
    if (network === "none") throw new Failed({ code: "no_network" });
    // Said while it is tried all the same; taken back where it connects.
    if (network === "unknown") this.#fail({ code: "no_network" });
    try {
      return await this.api.ticket(agentId);
    } catch (error) {
      throw new Failed(requestFailure(error));
    }
  }

  async #enter(room: CallRoom, ticket: Ticket, microphone: LocalAudioTrack | null): Promise<void> {
    this.#room = room;
    this.callId = ticket.call_id;
    for (const warning of ticket.warnings) this.#warn(warning);
    this.#follow(room);
    try {
      await room.connect(ticket.url, ticket.token);
      if (microphone) this.levels.watch("user", await room.publish(microphone));
    } catch (error) {
      throw new Failed(connectionFailure(error, (await findNetwork()) === "there"));
    }
    this.hasMicrophone = microphone !== null;
    this.#tellMicrophone();
  }

  #follow(room: CallRoom): void {
    const { events } = room;
    events.on("heard", (heard) => {
      if (this.captions.hear(heard)) this.events.emit("captions", this.captions);
    });
    events.on("live", (event) => this.#live(event));
    events.on("agentState", (state) => {
      this.agentState = state;
      this.events.emit("agentState", state);
    });
    events.on("agentJoined", () => {
      this.#isAgentHere = true;
      clearTimeout(this.#patience);
      if (this.phase === "waiting") this.#to("live");
      this.#clear("agent_absent");
    });
    events.on("agentLeft", () => {
      this.#isAgentHere = false;
      this.agentState = null;
      this.events.emit("agentState", null);
      // Another process may take the call over; if none does, it is lost.
      this.#patience = setTimeout(() => {
        this.#ending ??= { reason: "", isFailure: true };
        void this.hangUp();
      }, GHOST_MS);
    });
    events.on("voice", (voice) => {
      this.levels.watch("agent", voice);
      this.events.emit("voice", voice);
    });
    events.on("soundBlocked", (isBlocked) =>
      isBlocked ? this.#fail({ code: "sound_blocked" }) : this.#clear("sound_blocked"),
    );
    events.on("reconnecting", () => {
      if (this.phase === "live" || this.phase === "waiting") this.#to("reconnecting");
    });
    events.on("reconnected", () => {
      if (this.phase === "reconnecting") this.#to(this.#isAgentHere ? "live" : "waiting");
    });
    events.on("microphoneLost", (error) => this.#fail(microphoneFailure(error)));
    events.on("closed", (closing) => this.#closed(closing));
  }

  #live(event: LiveEvent): void {
    switch (event.kind) {
      case "turn":
        this.captions.time(event.turn.latency);
        this.events.emit("turn", event.turn);
        this.events.emit("captions", this.captions);
        break;
      case "warning":
        this.#warn(event);
        break;
      case "function":
        this.events.emit("ran", { name: event.name, hasFailed: Boolean(event.error) });
        break;
      case "hold":
        this.isOnHold = event.isOn;
        this.events.emit("agentState", this.agentState);
        break;
      case "call_ended":
        this.#ending = { reason: event.reason, isFailure: event.status === "failed" };
    }
  }

  #warn({ code, message }: Warning): void {
    if (!message || this.#warned.has(code + message)) return;
    this.#warned.add(code + message);
    this.events.emit("warning", { code, message });
  }

  #closed(closing: Closing): void {
    // While it is still connecting, start() reports what went wrong.
    if (this.phase === "connecting" || !this.isOn) return;
    if (closing === "network") this.#ending ??= { reason: "line_lost", isFailure: true };
    else this.#ending ??= { reason: "", isFailure: closing !== "us" };
    this.#close();
  }

  #close(): void {
    if (!this.isOn) return;
    clearTimeout(this.#patience);
    this.#room = null;
    this.levels.close();
    this.sound.replaceChildren();
    this.captions.close();
    this.#to("ended");
    this.#clear();
    this.events.emit("captions", this.captions);
    this.events.emit("ended", { callId: this.callId, reason: "", isFailure: false, ...this.#ending });
  }

  #waitForAgent(): void {
    clearTimeout(this.#patience);
    if (this.#isAgentHere) return;
    this.#patience = setTimeout(() => {
      if (this.phase === "waiting") this.#fail({ code: "agent_absent" });
    }, AGENT_MS);
  }

  #tellMicrophone(): void {
    this.events.emit("microphone", { isOn: this.hasMicrophone, isMuted: this.isMuted });
  }

  #fail(failure: Failure): void {
    this.#shown = failure.code;
    this.events.emit("failure", failure);
  }

  /** Takes back what is shown, or only a failure of one kind. */
  #clear(code?: Code): void {
    if (this.#shown === null || (code && this.#shown !== code)) return;
    this.#shown = null;
    this.events.emit("failure", null);
  }

  #to(phase: Phase): void {
    this.phase = phase;
    this.events.emit("phase", phase);
  }

  #reset(): void {
    this.captions = new Captions();
    this.agentState = null;
    this.callId = "";
    this.isMuted = this.isOnHold = false;
    this.hasMicrophone = false;
    this.#isAgentHere = false;
    this.#ending = null;
    this.#warned.clear();
    this.#clear();
    this.events.emit("captions", this.captions);
  }
}
