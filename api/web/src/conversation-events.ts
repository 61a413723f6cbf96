/** What a conversation tells those who show it. */

import type { Warning } from "./api";
import type { Captions } from "./captions";
import type { Failure } from "./failures";
import type { Latency } from "./latency";
import type { AgentState } from "./room";

export type Phase = "idle" | "asking" | "connecting" | "waiting" | "live" | "reconnecting" | "ended";

export interface Ending {
  callId: string;
  reason: string;
  isFailure: boolean;
}

export interface Turn {
  utterance_id: string;
  latency: Latency;
}

export interface ConversationEvents {
  phase: Phase;
  agentState: AgentState | null;
  microphone: { isOn: boolean; isMuted: boolean };
  captions: Captions;
  turn: Turn;
  ran: { name: string; hasFailed: boolean };
  warning: Warning;
  failure: Failure | null;
  voice: MediaStream | null;
  ended: Ending;
}
