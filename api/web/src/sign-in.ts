/** The page before anyone is signed in. */

import { el } from "./dom";
import { requestFailure, words } from "./failures";
import { RequestFailed, send } from "./requests";
import type { Session } from "./session";
import { strings } from "./strings";

export function signInView(session: Session, notice: string, onSignedIn: () => void): HTMLElement {
  const message = el("p", { class: "form-message", role: "alert" }, notice);
  const email = el("input", {
    id: "email",
    type: "email",
    name: "email",
    autocomplete: "username",
    required: true,
  });
  const password = el("input", {
    id: "password",
    type: "password",
    name: "password",
    autocomplete: "current-password",
    required: true,
  });
  const submit = el("button", { class: "button primary", type: "submit" }, strings.sign.submit);

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault();
    submit.disabled = true;
    submit.textContent = strings.sign.working;
    message.textContent = "";
    try {
      await session.logIn(email.value.trim(), password.value);
      onSignedIn();
    } catch (error) {
      message.textContent = explained(error);
      password.select();
    } finally {
      submit.disabled = false;
      submit.textContent = strings.sign.submit;
    }
  };

  const forgot = el("button", { class: "button quiet small", type: "button" }, strings.letters.forgot);
  forgot.addEventListener("click", async () => {
    if (!email.checkValidity()) {
      message.textContent = strings.letters.addressFirst;
      email.focus();
      return;
    }
    forgot.disabled = true;
    try {
      await send("/v1/auth/forgot-password", { method: "POST", body: { email: email.value.trim() } });
      message.textContent = strings.letters.sent;
    } catch (error) {
      message.textContent = explained(error);
    } finally {
      forgot.disabled = false;
    }
  });

  return el(
    "main",
    { class: "sign-in" },
    el("h1", { tabindex: -1 }, strings.sign.title),
    message,
    el(
      "form",
      { class: "card form", onsubmit: (event) => void onSubmit(event) },
      el("label", { for: "email" }, strings.sign.email),
      email,
      el("label", { for: "password" }, strings.sign.password),
      password,
      submit,
      forgot,
    ),
    el("p", { class: "muted small" }, strings.sign.hint),
  );
}

function explained(error: unknown): string {
  if (error instanceof RequestFailed && error.status === 401) return strings.sign.wrong;
  if (error instanceof RequestFailed && error.detail) return error.detail;
  return words(requestFailure(error)).body;
}
