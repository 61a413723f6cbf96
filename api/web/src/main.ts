/** The page a person talks through: who is signed in, and which view is shown. */

import "./style/page.css";
import "./style/talk.css";
import "./style/captions.css";
import { AgentEdit } from "./agent-edit";
import { Api } from "./api";
import { CallDetail } from "./call-detail";
import { Conversation } from "./conversation";
import type { Ending } from "./conversation-events";
import { el, fill } from "./dom";
import { requestFailure, words } from "./failures";
import { expose } from "./hook";
import { choosePasswordView, confirmAddress, type Letter, letterIn } from "./letter-view";
import { PastCalls } from "./past-calls";
import { RequestFailed } from "./requests";
import { Session } from "./session";
import { signInView } from "./sign-in";
import { strings } from "./strings";
import { Talk } from "./talk";

const session = new Session();
const api = new Api(session);
const root = el("div", { class: "page" });
const sound = el("div", { hidden: true });
document.body.append(root, sound);

function showSignIn(notice: string): void {
  const view = signInView(session, notice, showPage);
  document.title = `${strings.sign.title} · ${strings.product}`;
  fill(root, el("header", { class: "bar" }, brand()), view);
  view.querySelector<HTMLElement>(notice ? "h1" : "input")?.focus();
}

function showPage(): void {
  document.title = strings.product;
  const conversation = new Conversation(api, sound);
  const talk = new Talk(conversation);
  const calls = new PastCalls(api, (callId) => {
    location.hash = `/calls/${callId}`;
  });
  const main = el("main", { class: "main", id: "main" });
  const signOut = el("button", { class: "button quiet small", type: "button" }, strings.sign.out);
  const apiLink = el("a", { class: "button quiet small", href: "/docs" }, strings.apiDocs);
  fill(
    root,
    el("header", { class: "bar" }, brand(), el("div", { class: "bar-end" }, apiLink, signOut)),
    el("div", { class: "shell" }, main, calls.element),
  );
  expose(conversation);

  let detail: CallDetail | null = null;
  let ending: Ending | null = null;

  const route = (): void => {
    const callId = /^#\/calls\/(\w+)$/.exec(location.hash)?.[1] ?? "";
    if (conversation.isOn) return;
    detail?.leave();
    detail = null;
    calls.select(callId);
    const agentId = /^#\/agents\/(\w+)$/.exec(location.hash)?.[1] ?? "";
    if (agentId) {
      const edit = new AgentEdit(api, agentId, (hasChanged) => {
        if (hasChanged) void loadAgents();
        location.hash = "/";
      });
      fill(main, edit.element);
      edit.focus();
      void edit.load();
      return;
    }
    if (!callId) {
      talk.reset();
      const isReturning = main.childElementCount > 0;
      if (isReturning) void calls.refresh();
      fill(main, talk.element);
      if (isReturning) talk.focus();
      return;
    }
    const isJustOver = ending?.callId === callId;
    const opened = new CallDetail(api, callId, {
      agentName: async (agentId) => {
        await agentsLoaded;
        return calls.nameOf(agentId);
      },
      lines: isJustOver ? conversation.captions.lines : [],
      ending: isJustOver ? ending : null,
      onBack: () => {
        location.hash = "/";
      },
      onSettled: () => void calls.refresh(),
    });
    ending = null;
    detail = opened;
    fill(main, opened.element);
    opened.focus();
    void opened.load();
  };

  const onKey = (event: KeyboardEvent): void => {
    const isTyping = (event.target as Element | null)?.matches?.("input, select, textarea") ?? false;
    if (event.key.toLowerCase() !== "m" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!event.repeat) talk.toggleMute();
  };

  const leave = (notice: string): void => {
    window.removeEventListener("hashchange", route);
    window.removeEventListener("keydown", onKey);
    for (const stop of stops) stop();
    calls.stop();
    detail?.leave();
    void conversation.hangUp();
    showSignIn(notice);
  };

  const stops = [
    conversation.events.on("phase", () => calls.lock(conversation.isOn)),
    conversation.events.on("ended", (value) => {
      ending = value;
      if (location.hash === `#/calls/${value.callId}`) route();
      else location.hash = `/calls/${value.callId}`;
    }),
    session.events.on("expired", () => {
      // A call that runs needs no session: it may end first.
      if (!conversation.isTalking) leave(strings.sign.expired);
      else stops.push(conversation.events.on("ended", () => leave(strings.sign.expired)));
    }),
  ];
  signOut.addEventListener("click", () => {
    session.logOut();
    leave("");
  });
  window.addEventListener("hashchange", route);
  window.addEventListener("keydown", onKey);
  const loadAgents = async (): Promise<void> => {
    try {
      const agents = await api.agents();
      talk.know(agents);
      calls.knowAgents(agents);
    } catch (error) {
      if (session.isSignedIn) conversation.events.emit("failure", requestFailure(error));
    }
  };
  const agentsLoaded = loadAgents();
  void agentsLoaded.then(() => calls.refresh());
  calls.follow();
  route();
  // Fetched ahead, so that the first press of the button waits for nothing.
  setTimeout(() => void import("./room").catch(() => undefined), 300);
}

function brand(): HTMLElement {
  return el(
    "a",
    { class: "brand", href: "/#/" },
    el("span", { class: "brand-mark", "aria-hidden": "true" }),
    strings.product,
  );
}

/** Takes a one-time token out of the address: `#link=…` (which is sent to nobody) or `?sign_in=…`. */
function takeToken(): string | null {
  const address = new URL(location.href);
  const query = address.searchParams.get("sign_in");
  const token = query ?? /^#link=(.+)$/.exec(address.hash)?.[1] ?? null;
  if (token === null) return null;
  address.searchParams.delete("sign_in");
  history.replaceState(null, "", address.pathname + address.search + (query === null ? "" : address.hash));
  return token;
}

/** A letter's link was followed: its token leaves the address, so that it stays in no history. */
async function openLetter(letter: Letter): Promise<void> {
  history.replaceState(null, "", location.pathname + location.search);
  if (letter.purpose === "verify") {
    const notice = await confirmAddress(letter.token);
    if (session.isSignedIn) showPage();
    else showSignIn(notice);
    return;
  }
  session.logOut();
  const view = choosePasswordView(session, letter, (notice) => {
    if (session.isSignedIn) showPage();
    else showSignIn(notice);
  });
  fill(root, el("header", { class: "bar" }, brand()), view);
  view.querySelector<HTMLElement>("input")?.focus();
}

async function begin(): Promise<void> {
  const letter = letterIn(location.hash);
  if (letter) return openLetter(letter);
  const token = takeToken();
  let notice = "";
  if (token !== null) {
    try {
      await session.useLink(token);
    } catch (error) {
      const isUsed = error instanceof RequestFailed && error.status < 500 && error.status !== 429;
      notice = isUsed ? strings.sign.linkUsed : words(requestFailure(error)).body;
    }
  }
  // A used link in a tab that is signed in already changes nothing.
  if (session.isSignedIn) showPage();
  else showSignIn(notice);
}

// A link that is pasted into this very tab changes only what stands after the #.
window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#link=") || letterIn(location.hash)) location.reload();
});
void begin();
