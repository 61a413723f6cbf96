/** What went wrong, said where the person is looking, with what can be done about it. */

import { el, fill, icon } from "./dom";
import { type Action, type Failure, words } from "./failures";
import { strings } from "./strings";

export class Notices {
  readonly element = el("div", { class: "notices" });
  /** Alerts interrupt a screen reader; warnings wait their turn. */
  readonly #failure = el("div", { role: "alert" });
  readonly #warnings = el("div", { role: "status" });

  constructor(private readonly onAction: (action: Action) => void) {
    this.element.append(this.#failure, this.#warnings);
  }

  fail(failure: Failure | null, without: readonly Action[] = []): void {
    if (!failure) {
      this.#failure.replaceChildren();
      return;
    }
    const { title, body, actions } = words(failure);
    const buttons = actions
      .filter((action) => !without.includes(action))
      .map((action) =>
        el(
          "button",
          { class: "button small", type: "button", onclick: () => this.onAction(action) },
          strings.actions[action],
        ),
      );
    fill(
      this.#failure,
      el(
        "div",
        { class: "notice failure", "data-code": failure.code },
        el("div", { class: "notice-words" }, el("strong", {}, title), el("p", {}, body)),
        buttons.length > 0 && el("div", { class: "notice-actions" }, ...buttons),
      ),
    );
  }

  warn(text: string): void {
    const notice = el("div", { class: "notice warning" }, el("p", {}, text));
    const dismiss = el(
      "button",
      {
        class: "button icon-only quiet",
        type: "button",
        "aria-label": strings.actions.dismiss,
        onclick: () => notice.remove(),
      },
      icon("close"),
    );
    notice.append(dismiss);
    this.#warnings.append(notice);
  }

  clear(): void {
    this.#failure.replaceChildren();
    this.#warnings.replaceChildren();
  }
}
