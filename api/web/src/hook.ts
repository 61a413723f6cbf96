/**
 * `window.call2me`: what tests and measurements may see and nothing else. Read only, no tokens.
 *
 *     call2me.phase       "idle" | "asking" | "connecting" | "waiting" | "live" | "reconnecting" | "ended"
 *     call2me.state       "listening" | "thinking" | "speaking" | null
 *     call2me.callId      the current call's id, "" before the first
 *     call2me.captions    copies of the lines: {id, side, text, isFinal, isTyped, latency}
 *     call2me.turns       every turn so far: {utterance_id, latency}
 *     call2me.stream      the MediaStream of the agent's voice, null while there is none
 *     call2me.on(name, listener)   name: "phase", "state", "captions", "turn", "stream", "function", "ended".
 *                                  The listener gets (value, performance.now()). Returns the way to stop.
 */

import type { Caption } from "./captions";
import type { Conversation } from "./conversation";
import type { Turn } from "./conversation-events";
import { Emitter } from "./events";

type Heard = Record<"phase" | "state" | "captions" | "turn" | "stream" | "function" | "ended", unknown>;

export function expose(conversation: Conversation): void {
  const told = new Emitter<Heard>();
  const turns: Turn[] = [];
  let stream: MediaStream | null = null;
  const captions = (): Caption[] => conversation.captions.lines.map((line) => ({ ...line }));
  const { events } = conversation;

  events.on("phase", (phase) => {
    if (phase === "asking" || phase === "connecting") turns.length = 0;
    told.emit("phase", phase);
  });
  events.on("agentState", (state) => told.emit("state", state));
  events.on("captions", () => told.emit("captions", captions()));
  events.on("turn", (turn) => {
    turns.push(turn);
    told.emit("turn", structuredClone(turn));
  });
  events.on("voice", (voice) => {
    stream = voice;
    told.emit("stream", voice);
  });
  events.on("ran", (ran) => told.emit("function", { ...ran }));
  events.on("ended", (ending) => told.emit("ended", { ...ending }));

  const hook = Object.freeze({
    get phase() {
      return conversation.phase;
    },
    get state() {
      return conversation.agentState;
    },
    get callId() {
      return conversation.callId;
    },
    get captions() {
      return captions();
    },
    get turns() {
      return structuredClone(turns);
    },
    get stream() {
      return stream;
    },
    on: (name: keyof Heard, listener: (value: unknown, at: number) => void) =>
      told.on(name, (value) => listener(value, performance.now())),
  });
  Object.defineProperty(window, "call2me", { value: hook, writable: false, configurable: true });
}
