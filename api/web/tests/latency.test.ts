import { describe, expect, it } from "vitest";
import { clock, duration, parts, total } from "../src/latency";

describe("a duration", () => {
  it.each([
    [0, "0 ms"],
    [84.4, "84 ms"],
    [99.4, "99 ms"],
    [99.6, "0.10 s"],
    [550, "0.55 s"],
    [994, "0.99 s"],
    [996, "1.0 s"],
    [1240, "1.2 s"],
    [9949, "9.9 s"],
    [9950, "10 s"],
    [12_400, "12 s"],
  ])("of %d ms reads %s", (ms, text) => expect(duration(ms)).toBe(text));
});

describe("a clock", () => {
  it.each([
    [0, "0:00"],
    [7_400, "0:07"],
    [750_000, "12:30"],
    [3_723_000, "1:02:03"],
    [-5, "0:00"],
  ])("of %d ms reads %s", (ms, text) => expect(clock(ms)).toBe(text));
});

describe("a turn's split", () => {
  const latency = {
    endpointing_ms: 550,
    stt_ms: 300,
    knowledge_ms: 4,
    llm_first_token_ms: 120,
    tts_first_audio_ms: 210,
    playout_ms: null,
    total_ms: 1240,
  };

  it("names only the stages that took place, in order, without the one inside the pause", () => {
    expect(parts(latency).map((part) => part.name)).toEqual(["pause", "knowledge", "thought", "voice"]);
  });

  it("is as long as was measured", () => expect(total(latency)).toBe(1240));

  it("is the sum of its stages where the whole was not measured", () =>
    expect(total({ ...latency, total_ms: null })).toBe(884));

  it("is unknown where nothing was measured", () => expect(total({ stt_ms: 3 })).toBeNull());

  it("has no stage that ends before it begins", () =>
    expect(parts({ endpointing_ms: -3, llm_first_token_ms: Number.NaN })).toEqual([]));
});
