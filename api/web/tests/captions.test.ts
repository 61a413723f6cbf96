import { describe, expect, it } from "vitest";
import { Captions } from "../src/captions";

const user = (segmentId: string, text: string, isFinal = false) => ({
  segmentId,
  side: "user" as const,
  text,
  isFinal,
});
const agent = (segmentId: string, text: string, isFinal = false) => ({
  segmentId,
  side: "agent" as const,
  text,
  isFinal,
});
const shown = (captions: Captions) => captions.lines.map((line) => `${line.side}: ${line.text}`);

describe("captions", () => {
  it("replace an interim by what was understood in the end", () => {
    const captions = new Captions();
    captions.hear(user("a", "what time"));
    captions.hear(user("a", "what time do you"));
    captions.hear(user("a", "What time do you open?", true));
    expect(captions.lines).toHaveLength(1);
    expect(captions.lines[0]).toMatchObject({ text: "What time do you open?", isFinal: true });
  });

  it("grow word by word while the agent speaks", () => {
    const captions = new Captions();
    for (const text of ["We", "We open", "We open at eight."]) captions.hear(agent("b", text));
    expect(shown(captions)).toEqual(["agent: We open at eight."]);
    expect(captions.lines[0]?.isFinal).toBe(false);
  });

  it("keep both sides in the order in which they began, although they overlap", () => {
    const captions = new Captions();
    captions.hear(agent("b", "We open at"));
    captions.hear(user("c", "wait"));
    captions.hear(agent("b", "We open at eight", true));
    captions.hear(user("c", "Wait, Sundays?", true));
    expect(shown(captions)).toEqual(["agent: We open at eight", "user: Wait, Sundays?"]);
  });

  it("ignore an interim that arrives after the final words", () => {
    const captions = new Captions();
    captions.hear(user("a", "Hello.", true));
    expect(captions.hear(user("a", "hel"))).toBeNull();
    expect(shown(captions)).toEqual(["user: Hello."]);
  });

  it("show nothing for a segment without words", () => {
    const captions = new Captions();
    captions.hear(user("a", "  ", true));
    expect(captions.lines).toHaveLength(0);
  });

  it("finish a line that nobody finished when its side begins another", () => {
    const captions = new Captions();
    captions.hear(user("a", "I would"));
    captions.hear(user("b", "I would like"));
    expect(captions.lines.map((line) => line.isFinal)).toEqual([true, false]);
  });

  it("tell new text from old by identity, so that only changed lines are drawn", () => {
    const captions = new Captions();
    captions.hear(user("a", "Hello.", true));
    const before = captions.lines[0];
    captions.hear(agent("b", "Hi"));
    expect(captions.lines[0]).toBe(before);
  });

  it("mark what was typed, and number it", () => {
    const captions = new Captions();
    const first = captions.type("Hello");
    const second = captions.type("Hello");
    expect(first).toMatchObject({ isTyped: true, isFinal: true, side: "user" });
    expect(first.id).not.toBe(second.id);
  });

  it("give a turn's timing to the agent's newest line, once", () => {
    const captions = new Captions();
    captions.hear(agent("a", "Hello.", true));
    captions.hear(user("b", "Hi", true));
    captions.hear(agent("c", "Yes?"));
    captions.time({ total_ms: 900 });
    expect(captions.lines.map((line) => line.latency?.total_ms)).toEqual([undefined, undefined, 900]);
  });

  it("keep a timing that comes before its words for the next line", () => {
    const captions = new Captions();
    captions.hear(agent("a", "Hello.", true));
    captions.time({ total_ms: 100 });
    captions.time({ total_ms: 200 });
    captions.hear(agent("b", "Next"));
    expect(captions.lines.map((line) => line.latency?.total_ms)).toEqual([100, 200]);
  });

  it("leave nothing open once the call is over", () => {
    const captions = new Captions();
    captions.hear(agent("a", "We op"));
    captions.close();
    expect(captions.lines[0]).toMatchObject({ text: "We op", isFinal: true });
  });
});
