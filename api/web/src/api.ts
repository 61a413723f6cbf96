/** What the page asks of our api, and the shapes of its answers. */

import type { Latency } from "./latency";
import type { Session } from "./session";

export interface Agent {
  agent_id: string;
  agent_name: string;
  language?: string;
}

/** One agent as it was seen, and the tag of that. */
export interface EditedAgent {
  tag: string;
  agent: Agent & {
    begin_message: string | null;
    response_engine: { type: string; system_prompt?: string | null } & Record<string, unknown>;
  };
}

export interface Ticket {
  token: string;
  url: string;
  room_name: string;
  call_id: string;
  warnings: Warning[];
}

export interface ListeningTicket {
  token: string;
  url: string;
  participant_identity: string;
}

export interface Warning {
  code: string;
  message: string;
}

export interface CallSummary {
  call_id: string;
  agent_id: string | null;
  call_status: string;
  call_type?: string;
  direction?: "inbound" | "outbound" | null;
  from_number?: string | null;
  to_number?: string | null;
  start_timestamp: number | null;
  duration_ms: number | null;
  disconnection_reason: string | null;
  recording_url: string | null;
  created_at: string;
}

export interface Call extends CallSummary {
  transcript_object: {
    role: "user" | "agent" | "supervisor" | "person" | "note";
    text: string;
    utterance_id?: string;
    start_ms?: number;
    was_interrupted?: boolean;
    is_typed?: boolean;
  }[];
  turns?: { utterance_id: string; latency: Latency }[];
  functions?: {
    name: string;
    arguments: Record<string, unknown>;
    result?: string | null;
    error?: string | null;
  }[];
  warnings?: Warning[];
  transfers?: { outcome: "referred" | "bridged" | "failed" }[];
  engines?: { stt: string; llm: string; tts: string } | null;
  queue?: { position: number | null } | null;
}

const ONGOING = new Set(["pending", "ringing", "in_progress"]);

/** True while a call may still change. */
export function isOngoing(call: CallSummary): boolean {
  return ONGOING.has(call.call_status);
}

/** The number of whoever is at the other end of a phone call, and who called whom. */
export function otherEnd(call: CallSummary): { number: string; calledUs: boolean } | null {
  if (call.call_type !== "phone_call") return null;
  const calledUs = call.direction !== "outbound";
  const number = calledUs ? call.from_number : call.to_number;
  return number ? { number, calledUs } : null;
}

/** True once two who were put through talk without the agent, over this installation. */
export function isBridged(call: Call): boolean {
  return call.transfers?.some((one) => one.outcome === "bridged") ?? false;
}

export class Api {
  constructor(readonly session: Session) {}

  async agents(): Promise<Agent[]> {
    const found = await this.#get<Agent[] | { agents: Agent[] }>("/v1/agents?limit=1000");
    return Array.isArray(found) ? found : found.agents;
  }

  async agent(agentId: string): Promise<EditedAgent> {
    const response = await this.session.ask(`/v1/agents/${encodeURIComponent(agentId)}`);
    return {
      tag: response.headers.get("ETag") ?? "",
      agent: (await response.json()) as EditedAgent["agent"],
    };
  }

  async changeAgent(seen: EditedAgent, body: Partial<EditedAgent["agent"]>): Promise<void> {
    const path = `/v1/agents/${encodeURIComponent(seen.agent.agent_id)}`;
    await this.session.ask(path, { method: "PATCH", body, ifMatch: seen.tag });
  }

  async ticket(agentId: string): Promise<Ticket> {
    const response = await this.session.ask("/v1/livekit/token", {
      method: "POST",
      body: { agent_id: agentId },
    });
    const ticket = (await response.json()) as Omit<Ticket, "warnings"> & { warnings?: unknown[] };
    return { ...ticket, warnings: (ticket.warnings ?? []).map(asWarning) };
  }

  calls(limit: number): Promise<{ calls: CallSummary[]; total: number }> {
    return this.#get(`/v1/calls?limit=${limit}`);
  }

  call(callId: string): Promise<Call> {
    return this.#get(`/v1/calls/${encodeURIComponent(callId)}`);
  }

  /** The whole recording, for a browser that cannot use the signed link. */
  async recording(callId: string): Promise<Blob> {
    const path = `/v1/calls/${encodeURIComponent(callId)}/recording`;
    return (await this.session.ask(path, { accept: "audio/ogg" })).blob();
  }

  async listen(callId: string): Promise<ListeningTicket> {
    return (await (await this.#steer(callId, "listen", { may_speak: true })).json()) as ListeningTicket;
  }

  async whisper(callId: string, text: string): Promise<void> {
    await this.#steer(callId, "whisper", { text });
  }

  /** Whoever this is in the call's room talks in the agent's place; their microphone is open. */
  async takeOver(callId: string, identity: string): Promise<void> {
    await this.#steer(callId, "take-over", { participant_identity: identity });
  }

  async giveBack(callId: string): Promise<void> {
    await this.#steer(callId, "give-back");
  }

  #steer(callId: string, what: string, body?: unknown): Promise<Response> {
    return this.session.ask(`/v1/calls/${encodeURIComponent(callId)}/${what}`, { method: "POST", body });
  }

  async #get<T>(path: string): Promise<T> {
    return (await (await this.session.ask(path)).json()) as T;
  }
}

function asWarning(warning: unknown): Warning {
  if (typeof warning === "string") return { code: "", message: warning };
  const { code = "", message = "" } = warning as Partial<Warning>;
  return { code, message };
}
