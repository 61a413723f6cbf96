/** What the links of letters open: a new password, an invite, an address that is confirmed. */

import { el } from "./dom";
import { requestFailure, words } from "./failures";
import { RequestFailed, send } from "./requests";
import type { Session } from "./session";
import { strings } from "./strings";

export type Purpose = "reset" | "invite" | "verify";

export interface Letter {
  purpose: Purpose;
  token: string;
}

/** What the address says after its #, which a browser sends to nobody. */
export function letterIn(hash: string): Letter | null {
  const found = /^#(reset|invite|verify)=([\w-]{10,200})$/.exec(hash);
  return found ? { purpose: found[1] as Purpose, token: found[2] ?? "" } : null;
}

/** Confirms an address; the sentence that the sign-in form shows. */
export async function confirmAddress(token: string): Promise<string> {
  try {
    await send("/v1/auth/verify-email", { method: "POST", body: { token } });
    return strings.letters.confirmed;
  } catch (error) {
    return explained(error);
  }
}

export function choosePasswordView(
  session: Session,
  letter: Letter,
  onDone: (notice: string) => void,
): HTMLElement {
  const isInvite = letter.purpose === "invite";
  const title = isInvite ? strings.letters.inviteTitle : strings.letters.resetTitle;
  const message = el("p", { class: "form-message", role: "alert" });
  const name = el("input", { id: "name", type: "text", name: "name", autocomplete: "name", maxlength: 255 });
  const password = el("input", {
    id: "password",
    type: "password",
    name: "password",
    autocomplete: "new-password",
    minlength: 8,
    maxlength: 72,
    required: true,
  });
  const submit = el("button", { class: "button primary", type: "submit" }, strings.letters.submit);

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault();
    submit.disabled = true;
    message.textContent = "";
    try {
      if (isInvite) {
        await session.acceptInvite(letter.token, password.value, name.value.trim());
        onDone("");
      } else {
        const body = { token: letter.token, new_password: password.value };
        await send("/v1/auth/reset-password", { method: "POST", body });
        onDone(strings.letters.changed);
      }
    } catch (error) {
      message.textContent = explained(error);
    } finally {
      submit.disabled = false;
    }
  };

  return el(
    "main",
    { class: "sign-in" },
    el("h1", { tabindex: -1 }, title),
    message,
    el(
      "form",
      { class: "card form", onsubmit: (event) => void onSubmit(event) },
      ...(isInvite ? [el("label", { for: "name" }, strings.letters.name), name] : []),
      el("label", { for: "password" }, strings.letters.password),
      password,
      submit,
    ),
  );
}

function explained(error: unknown): string {
  const isSaid = error instanceof RequestFailed && error.detail !== "" && error.status < 500;
  return isSaid ? error.detail : words(requestFailure(error)).body;
}
