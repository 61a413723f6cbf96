import { expect, test } from "vitest";
import { letterIn } from "../src/letter-view";

test("a letter's link says what it is for, and nothing else is one", () => {
  expect(letterIn("#reset=once_abcDEF-123")).toEqual({ purpose: "reset", token: "once_abcDEF-123" });
  expect(letterIn("#invite=invite_abcDEF-123")?.purpose).toBe("invite");
  expect(letterIn("#verify=once_abcDEF-123")?.purpose).toBe("verify");
  for (const other of [
    "",
    "#/calls/call_1",
    "#link=once_abcDEF-123",
    "#reset=",
    "#reset=<script>alert(1)",
    "#reset=short",
  ]) {
    expect(letterIn(other)).toBeNull();
  }
});
