import { describe, expect, it } from "vitest";
import { readEvent } from "../src/live-events";

const read = (value: unknown) => readEvent(new TextEncoder().encode(JSON.stringify(value)));

describe("what the worker tells the page", () => {
  it("is a turn with its timing", () => {
    const turn = { utterance_id: "u1", latency: { total_ms: 900 } };
    expect(read({ kind: "turn", turn, added_later: 1 })).toEqual({ kind: "turn", turn });
  });

  it("is a function that ran or failed", () => {
    expect(read({ kind: "function", name: "book", error: null })).toMatchObject({
      name: "book",
      error: null,
    });
    expect(read({ kind: "function", name: "book", error: "full" })).toMatchObject({ error: "full" });
  });

  it("is a hold, and its end", () => {
    expect(read({ kind: "hold", is_on: true })).toEqual({ kind: "hold", isOn: true });
    expect(read({ kind: "hold" })).toEqual({ kind: "hold", isOn: false });
  });

  it("is the end of the call", () => {
    expect(read({ kind: "call_ended", status: "failed", reason: "error: x" })).toEqual({
      kind: "call_ended",
      status: "failed",
      reason: "error: x",
    });
  });

  it.each([null, [], "turn", { kind: "new" }, { kind: "turn" }, { kind: "turn", turn: { latency: 3 } }])(
    "is ignored where it is not known: %j",
    (value) => expect(read(value)).toBeNull(),
  );

  it("is ignored where it is not JSON", () => expect(readEvent(new Uint8Array([255, 0]))).toBeNull());
});
