/** How a widget looks, behind its shadow root: nothing of the page reaches in, nothing reaches out. */

export const STYLE = `
:host { all: initial; position: fixed !important; display: block !important; z-index: 2147483000;
  bottom: 20px; right: 20px; }
.root { all: initial; font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1c1d22; }
:host([data-side="left"]) { right: auto; left: 20px; }
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
button, textarea { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; background: none; padding: 0; }
button:disabled { cursor: default; opacity: .5; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
svg { width: 24px; height: 24px; fill: none; stroke: currentColor; stroke-width: 1.8;
  stroke-linecap: round; stroke-linejoin: round; display: block; }
.launcher { display: grid; place-items: center; width: 60px; height: 60px; border-radius: 50%; overflow: hidden;
  background: var(--accent); color: var(--on-accent); box-shadow: 0 6px 20px rgb(0 0 0 / .25);
  margin-left: auto; }
:host([data-side="left"]) .launcher { margin-left: 0; }
.launcher:focus-visible { outline-color: #1c1d22; box-shadow: 0 0 0 2px #fff, 0 6px 20px rgb(0 0 0 / .25); }
.launcher img, .face img { width: 100%; height: 100%; object-fit: cover; }
.panel { display: flex; flex-direction: column; width: 380px; height: min(600px, calc(100vh - 120px));
  margin-bottom: 14px; background: #fff; border-radius: 16px; overflow: hidden;
  box-shadow: 0 12px 40px rgb(0 0 0 / .28); }
header { display: flex; align-items: center; gap: 10px; padding: 12px 14px; background: var(--accent);
  color: var(--on-accent); }
header :focus-visible { outline-color: currentColor; }
.face { width: 36px; height: 36px; border-radius: 50%; overflow: hidden; flex: none; }
h2 { flex: 1; min-width: 0; margin: 0; font-size: 16px; font-weight: 600; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
header button { width: 40px; height: 40px; display: grid; place-items: center; border-radius: 10px; flex: none; }
.log { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; padding: 16px 14px;
  display: flex; flex-direction: column; gap: 8px; margin: 0; list-style: none; }
.log li { max-width: 86%; padding: 9px 13px; border-radius: 14px; white-space: pre-wrap;
  overflow-wrap: anywhere; background: #f0f1f5; align-self: flex-start; border-bottom-left-radius: 4px; }
.log li.visitor { background: var(--accent); color: var(--on-accent); align-self: flex-end;
  border-radius: 14px 14px 4px 14px; }
.log li.note { align-self: center; background: none; color: #5b5e6b; font-size: 13px; text-align: center; }
.log li.note button { text-decoration: underline; padding: 4px 6px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.dots { letter-spacing: 2px; color: #5b5e6b; }
.voice { display: flex; align-items: center; gap: 8px; padding: 10px 14px; border-top: 1px solid #e4e5ea; }
.voice p { flex: 1; margin: 0; display: flex; align-items: center; gap: 8px; }
.voice p::before { content: ""; width: 10px; height: 10px; border-radius: 50%; background: #2e9e5b; flex: none; }
.voice[data-state="speaking"] p::before { background: var(--accent); animation: beat 1s infinite; }
.voice[data-state="connecting"] p::before { background: #b8860b; }
.voice button { padding: 9px 13px; border-radius: 10px; background: #f0f1f5; min-height: 40px; }
.voice .end { background: #c62f2f; color: #fff; }
.talk { margin: 10px 14px; padding: 12px; border-radius: 12px; background: var(--accent);
  color: var(--on-accent); display: flex; gap: 8px; justify-content: center; align-items: center; }
form { display: flex; gap: 8px; align-items: flex-end; padding: 10px 14px; border-top: 1px solid #e4e5ea; }
textarea { flex: 1; min-width: 0; resize: none; border: 1px solid #b9bcc7; border-radius: 12px; background: #fff;
  padding: 9px 12px; height: 42px; max-height: 120px; margin: 0; font-size: 16px; line-height: 1.35; }
textarea::placeholder { color: #6a6d7a; opacity: 1; }
form button { width: 42px; height: 42px; display: grid; place-items: center; border-radius: 12px; flex: none;
  background: var(--accent); color: var(--on-accent); }
footer { display: flex; flex-wrap: wrap; justify-content: center; gap: 4px 16px; font-size: 12px; color: #6a6d7a;
  padding: 0 14px 8px; }
footer a { color: inherit; overflow-wrap: anywhere; }
.brand { display: flex; align-items: center; gap: 10px; min-height: 52px; padding: 8px 14px; font-weight: 600;
  overflow-wrap: anywhere; border-bottom: 3px solid var(--accent); }
.brand img { max-width: 160px; height: 34px; object-fit: contain; }
@keyframes beat { 50% { transform: scale(1.5); opacity: .6; } }
@media (max-width: 480px), (max-height: 420px) {
  :host([data-open]) { inset: 0 !important; }
  :host([data-open]) .launcher { display: none; }
  :host([data-open]) .root { display: block; height: 100%; }
  .panel { width: 100%; height: 100%; margin: 0; border-radius: 0; }
}
:host([data-page]) { inset: 0 !important; background: #f4f5f8; }
:host([data-page]) .launcher { display: none; }
:host([data-page]) .root { display: block; height: 100%; }
:host([data-page]) .panel { width: min(720px, 100%); height: 100%; margin: 0 auto; border-radius: 0; }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; } }
`;
