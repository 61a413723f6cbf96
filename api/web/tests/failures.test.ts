import { describe, expect, it } from "vitest";
import { connectionFailure, microphoneFailure, requestFailure, words } from "../src/failures";
import { detail, RequestFailed, Unreachable } from "../src/requests";
import { strings } from "../src/strings";

const named = (name: string) => Object.assign(new Error("x"), { name });
const connection = (reasonName: string) => Object.assign(new Error("x"), { reasonName });

describe("a microphone that cannot be had", () => {
  it.each([
    ["NotAllowedError", "microphone_refused"],
    ["NotFoundError", "no_microphone"],
    ["NotReadableError", "microphone_busy"],
    ["TypeError", "insecure"],
    ["SomethingNew", "unexpected"],
  ])("%s is %s", (name, code) => expect(microphoneFailure(named(name)).code).toBe(code));

  it("can always be done without, by typing", () => {
    for (const code of ["insecure", "no_microphone", "microphone_refused", "microphone_busy"] as const) {
      expect(words({ code }).actions).toContain("type");
    }
  });
});

describe("a request that failed", () => {
  it.each([
    [401, "session_expired"],
    [403, "forbidden"],
    [404, "agent_gone"],
    [429, "rate_limited"],
    [503, "unavailable"],
    [500, "unexpected"],
  ])("with %d is %s", (status, code) => {
    expect(requestFailure(new RequestFailed(status, "")).code).toBe(code);
  });

  it("that nobody answered says so", () => expect(requestFailure(new Unreachable()).code).toBe("offline"));

  it("is told in the server's own words where it has some", () => {
    const failure = requestFailure(new RequestFailed(503, "No worker is connected"));
    expect(words(failure).body).toBe("No worker is connected.");
    expect(words(failure).actions).toEqual(["retry"]);
  });

  it("never shows a server's words about its own faults", () => {
    expect(requestFailure(new RequestFailed(500, "KeyError: secret")).detail).toBeUndefined();
  });
});

describe("a connection that failed", () => {
  it("on a machine without a network is not blamed on the server", () =>
    expect(connectionFailure(connection("InternalError"), false).code).toBe("no_network"));

  it.each([
    ["ServerUnreachable", "unreachable"],
    ["WebSocket", "unreachable"],
    ["InternalError", "no_media"],
    ["Cancelled", "unexpected"],
  ])("for %s is %s", (reason, code) => expect(connectionFailure(connection(reason), true).code).toBe(code));
});

describe("an error's body", () => {
  it.each([
    ['{"detail":"Agent not found"}', "Agent not found"],
    ['{"detail":[{"loc":["body"],"msg":"Field required"}]}', "Field required"],
    ['{"detail":{}}', ""],
    ["<html>", ""],
    ["null", ""],
  ])("%s says %j", (body, text) => expect(detail(body)).toBe(text));
});

it("every failure has words that end as sentences do", () => {
  for (const { title, body } of Object.values(strings.failures)) {
    expect(title).not.toMatch(/[.!]$/);
    expect(body).toMatch(/\.$/);
  }
});
