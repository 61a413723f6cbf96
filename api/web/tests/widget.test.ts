import { afterEach, describe, expect, it, vi } from "vitest";
import { Backend, Failed } from "../src/widget/backend";
import { readableOn } from "../src/widget/colour";
import { wordsOf } from "../src/widget/words";

describe("text on the owner's colour", () => {
  it.each([
    ["#000000", "#fff"],
    ["#ffffff", "#000"],
    ["#ff0", "#000"],
    ["#6366f1", "#000"],
    ["#0b6e4f", "#fff"],
    ["#00f", "#fff"],
  ])("on %s is %s", (colour, text) => {
    expect(readableOn(colour)).toBe(text);
  });
});

describe("words", () => {
  it("are in the widget's language, else in English", () => {
    expect(wordsOf("tr-TR").send).toBe("Gönder");
    expect(wordsOf("DE").send).toBe("Senden");
    expect(wordsOf("xx").send).toBe("Send");
  });
});

describe("an answer", () => {
  const backend = new Backend("https://api.example.com", "widget_1");
  vi.stubGlobal("window", globalThis);
  afterEach(() => void vi.stubGlobal("fetch", undefined));

  async function answered(...chunks: string[]): Promise<string[]> {
    const body = new ReadableStream({
      start(stream) {
        for (const chunk of chunks) stream.enqueue(new TextEncoder().encode(chunk));
        stream.close();
      },
    });
    vi.stubGlobal("fetch", async () => new Response(body));
    const deltas: string[] = [];
    for await (const delta of backend.answer("Hello", "v")) deltas.push(delta);
    return deltas;
  }

  it("is read however the network cuts it", async () => {
    const told = 'data: {"delta": "Grüß "}\n\n: still thinking\n\ndata: {"delta": "Gott"}\n\n';
    const whole = `${told}data: {"done": true}\n\ndata: [DONE]\n\n`;
    expect(await answered(whole)).toEqual(["Grüß ", "Gott"]);
    expect(await answered(...whole)).toEqual(["Grüß ", "Gott"]);
  });

  it("that stops in the middle has failed", async () => {
    await expect(answered('data: {"delta": "Gr"}\n\n')).rejects.toThrow(Failed);
  });

  it("that was lost says so", async () => {
    const told = 'data: {"error": "lost", "status": 503}\n\ndata: [DONE]\n\n';
    await expect(answered(told)).rejects.toMatchObject({ status: 503 });
  });

  it("that was refused carries the status", async () => {
    vi.stubGlobal("fetch", async () => new Response("{}", { status: 429 }));
    await expect(backend.answer("Hello", "v").next()).rejects.toMatchObject({ status: 429 });
  });
});

describe("a token to talk", () => {
  async function asked(backend: Backend, reply: unknown): Promise<unknown> {
    let address = "";
    vi.stubGlobal("fetch", async (path: string) => {
      address = path;
      return new Response(JSON.stringify(reply));
    });
    return [await backend.ticket("v"), address];
  }

  it("comes from a widget and from a web call, each by its own names", async () => {
    const ticket = { token: "t", url: "wss://live.example.com" };
    const base = "https://api.example.com";
    const widget = await asked(new Backend(base, "widget_1"), ticket);
    expect(widget).toEqual([ticket, `${base}/v1/widgets/widget_1/voice-token`]);
    const told = { web_token: "t", livekit_url: "wss://live.example.com" };
    const call = await asked(new Backend(base, "wc_1", "web-call/public"), told);
    expect(call).toEqual([ticket, `${base}/v1/web-call/public/wc_1/start`]);
  });
});
