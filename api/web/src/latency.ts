/** Where the time of one answer went, in words a person reads at a glance. */

import { strings } from "./strings";

/** `TurnLatency` of the worker, in milliseconds; null where a stage did not take place. */
export interface Latency {
  endpointing_ms?: number | null;
  stt_ms?: number | null;
  knowledge_ms?: number | null;
  llm_first_token_ms?: number | null;
  tts_first_audio_ms?: number | null;
  playout_ms?: number | null;
  total_ms?: number | null;
}

export interface Part {
  name: "pause" | "knowledge" | "thought" | "voice" | "playout";
  label: string;
  ms: number;
}

/** The stages that follow one another; `stt_ms` runs inside the pause and is not one of them. */
export function parts(latency: Latency): Part[] {
  const stages: [Part["name"], number | null | undefined][] = [
    ["pause", latency.endpointing_ms],
    ["knowledge", latency.knowledge_ms],
    ["thought", latency.llm_first_token_ms],
    ["voice", latency.tts_first_audio_ms],
    ["playout", latency.playout_ms],
  ];
  return stages
    .filter((stage): stage is [Part["name"], number] => isTime(stage[1]))
    .map(([name, ms]) => ({ name, label: strings.latency[name], ms }));
}

/** The whole, or the sum of the stages where the whole was not measured; null where nothing was. */
export function total(latency: Latency): number | null {
  if (isTime(latency.total_ms)) return latency.total_ms;
  const known = parts(latency);
  return known.length > 0 ? known.reduce((sum, part) => sum + part.ms, 0) : null;
}

/** `84 ms`, `1.2 s`, `12 s`. */
export function duration(ms: number): string {
  if (ms < 99.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  return `${seconds < 9.95 ? seconds.toFixed(seconds < 0.995 ? 2 : 1) : Math.round(seconds)} s`;
}

/** `0:07`, `12:30`, `1:02:03`. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = String(seconds % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function isTime(ms: number | null | undefined): ms is number {
  return typeof ms === "number" && Number.isFinite(ms) && ms >= 0;
}
