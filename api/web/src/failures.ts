/** From whatever went wrong to words that say what it is and what to do. */

import { RequestFailed, Unreachable } from "./requests";
import { strings } from "./strings";

export type Code = keyof typeof strings.failures;
export type Action = "retry" | "type" | "wait" | "hang_up" | "play" | "reload";

export interface Failure {
  code: Code;
  /** What the server said of it, where it said something. */
  detail?: string;
}

export interface Words {
  title: string;
  body: string;
  actions: readonly Action[];
}

const ACTIONS: Record<Code, readonly Action[]> = {
  insecure: ["type"],
  no_microphone: ["retry", "type"],
  microphone_refused: ["retry", "type"],
  microphone_busy: ["retry", "type"],
  no_network: ["retry"],
  unreachable: ["retry"],
  no_media: ["retry"],
  agent_absent: ["wait", "hang_up"],
  agent_gone: ["reload"],
  unavailable: ["retry"],
  rate_limited: ["retry"],
  forbidden: [],
  session_expired: [],
  offline: ["retry"],
  sound_blocked: ["play"],
  unexpected: ["retry"],
};

export function words(failure: Failure): Words {
  const { title, body } = strings.failures[failure.code];
  const detail = failure.detail?.trim();
  // A server's sentence is nearer to the cause than ours.
  return { title, body: detail ? sentence(detail) : body, actions: ACTIONS[failure.code] };
}

/** What `getUserMedia` threw. */
export function microphoneFailure(error: unknown): Failure {
  switch (name(error)) {
    case "NotAllowedError":
    case "SecurityError":
    case "PermissionDeniedError":
      return { code: "microphone_refused" };
    case "NotFoundError":
    case "OverconstrainedError":
    case "DevicesNotFoundError":
      return { code: "no_microphone" };
    case "NotReadableError":
    case "AbortError":
    case "TrackStartError":
      return { code: "microphone_busy" };
    case "TypeError":
    case "DeviceUnsupportedError":
      return { code: "insecure" };
    default:
      return { code: "unexpected" };
  }
}

/** What a request to our api threw. */
export function requestFailure(error: unknown): Failure {
  if (error instanceof Unreachable) return { code: "offline" };
  if (!(error instanceof RequestFailed)) return { code: "unexpected" };
  const detail = error.detail;
  switch (error.status) {
    case 401:
      return { code: "session_expired" };
    case 402:
    case 403:
      return { code: "forbidden", detail };
    case 404:
      return { code: "agent_gone" };
    case 409:
    case 422:
      return { code: "unavailable", detail };
    case 429:
      return { code: "rate_limited" };
    case 502:
    case 503:
    case 504:
      return { code: "unavailable", detail };
    default:
      return { code: "unexpected" };
  }
}

/** What livekit-client threw while it connected; `hasNetwork` says whether sound had a way out at all. */
export function connectionFailure(error: unknown, hasNetwork: boolean): Failure {
  if (!hasNetwork) return { code: "no_network" };
  const reason = (error as { reasonName?: string } | null)?.reasonName;
  switch (reason) {
    case "ServerUnreachable":
    case "WebSocket":
    case "Timeout":
    case "ServiceNotFound":
      return { code: "unreachable" };
    case "InternalError":
      return { code: "no_media" };
    default:
      return { code: "unexpected" };
  }
}

function name(error: unknown): string {
  return typeof error === "object" && error !== null && "name" in error ? String(error.name) : "";
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
