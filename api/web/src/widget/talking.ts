/** A talk by voice through a widget. */

import type { Backend } from "./backend";

type Loaded = typeof import("./voice");

export type State = "connecting" | "waiting" | "listening" | "speaking" | "reconnecting";

export interface Told {
  state(state: State): void;
  heard(id: string, side: "visitor" | "agent", text: string, isFinal: boolean): void;
  soundBlocked(isBlocked: boolean): void;
  ended(): void;
}

/** The microphone is not to be had: the visitor refused, or there is none. */
export class NoMicrophone extends Error {}

let loading: Promise<Loaded> | undefined;

function load(base: string): Promise<Loaded> {
  loading ??= (import(/* @vite-ignore */ `${base}/widget/voice.js`) as Promise<Loaded>).catch((error) => {
    loading = undefined; // what failed once may work later
    throw error;
  });
  return loading;
}

export class Talking {
  #room: InstanceType<Loaded["CallRoom"]> | null = null;
  #isOver = false;
  #isThere = false;

  constructor(
    readonly backend: Backend,
    readonly visitor: string,
    readonly sound: HTMLElement,
    readonly told: Told,
  ) {}

  /** Raises `NoMicrophone` before a call is made, `Failed` where none can be, or what LiveKit raises. */
  async begin(): Promise<void> {
    this.told.state("connecting");
    const { CallRoom, openMicrophone } = await load(this.backend.base);
    const microphone = await openMicrophone("").catch(() => {
      throw new NoMicrophone();
    });
    try {
      if (this.#isOver) throw new DOMException("", "AbortError");
      const ticket = await this.backend.ticket(this.visitor);
      if (this.#isOver) throw new DOMException("", "AbortError");
      const room = new CallRoom(this.sound);
      this.#room = room;
      this.#listen(room);
      await room.connect(ticket.url, ticket.token);
      await room.publish(microphone);
      this.told.state(this.#isThere ? "listening" : "waiting");
    } catch (error) {
      microphone.stop();
      await this.end();
      throw error;
    }
  }

  async mute(isMuted: boolean): Promise<void> {
    await this.#room?.setMicrophone(!isMuted, "");
  }

  async playSound(): Promise<void> {
    await this.#room?.playSound();
  }

  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#room?.leave().catch(() => undefined);
    this.told.ended();
  }

  #listen(room: InstanceType<Loaded["CallRoom"]>): void {
    const { events } = room;
    events.on("agentState", (state) => {
      if (state) this.told.state(state === "speaking" ? "speaking" : "listening");
    });
    events.on("agentJoined", () => {
      this.#isThere = true;
      this.told.state("listening");
    });
    events.on("heard", (heard) => {
      const side = heard.side === "user" ? "visitor" : "agent";
      this.told.heard(heard.segmentId, side, heard.text, heard.isFinal);
    });
    events.on("soundBlocked", (isBlocked) => this.told.soundBlocked(isBlocked));
    events.on("reconnecting", () => this.told.state("reconnecting"));
    events.on("reconnected", () => this.told.state(this.#isThere ? "listening" : "waiting"));
    events.on("closed", () => void this.end());
  }
}
