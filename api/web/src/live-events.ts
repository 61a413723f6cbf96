/** What the worker tells the page beside the sound: JSON on the data topic `call2me.event`. */

import type { Warning } from "./api";
import type { Latency } from "./latency";

export const LIVE_TOPIC = "call2me.event";
export const TRANSCRIPTION_TOPIC = "lk.transcription";
export const CHAT_TOPIC = "lk.chat";

export type LiveEvent =
  | { kind: "turn"; turn: { utterance_id: string; latency: Latency } }
  | ({ kind: "warning" } & Warning)
  | { kind: "function"; name: string; error?: string | null }
  | { kind: "hold"; isOn: boolean }
  | { kind: "call_ended"; status: string; reason: string };

/** Null for anything that this page does not know. */
export function readEvent(payload: Uint8Array): LiveEvent | null {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
  if (!isObject(found)) return null;
  switch (found.kind) {
    case "turn": {
      const turn = found.turn;
      if (!isObject(turn) || !isObject(turn.latency)) return null;
      return {
        kind: "turn",
        turn: { utterance_id: text(turn.utterance_id), latency: turn.latency as Latency },
      };
    }
    case "warning":
      return { kind: "warning", code: text(found.code), message: text(found.message) };
    case "function":
      return { kind: "function", name: text(found.name), error: found.error ? text(found.error) : null };
    case "hold":
      return { kind: "hold", isOn: found.is_on === true };
    case "call_ended":
      return { kind: "call_ended", status: text(found.status), reason: text(found.reason) };
    default:
      return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
