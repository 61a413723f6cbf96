/**
 * What `<script src="…/v1/widgets/{id}/embed.js">` runs on somebody else's page, and
 * `…/v1/web-call/public/{token}/embed.js`: a widget that only talks.
 */

import { Backend, type Kind } from "./backend";
import { Memory } from "./memory";
import { Widget } from "./widget";

declare global {
  interface Window {
    Call2MeWidget?: { open(): void; close(): void };
  }
}

const TAG = "call2me-widget";

function ourScript(): HTMLScriptElement | null {
  const current = document.currentScript;
  if (current instanceof HTMLScriptElement) return current;
  return document.querySelector<HTMLScriptElement>(
    'script[src*="/v1/widgets/"][src*="/embed.js"], script[src*="/v1/web-call/public/"][src*="/embed.js"]',
  );
}

async function show(script: HTMLScriptElement): Promise<void> {
  const found = /^(.*)\/v1\/(widgets|web-call\/public)\/([^/]+)\/embed\.js/.exec(script.src);
  if (!found?.[3]) return;
  const [, base = "", kind, id] = found;
  if (document.querySelector(`${TAG}[data-widget="${CSS.escape(id)}"]`)) return;
  const host = document.createElement(TAG);
  host.dataset.widget = id;
  const backend = new Backend(base, id, kind as Kind);
  const config = await backend.config();
  // A page that refuses this widget, or a server that is away: nothing is drawn, and nothing breaks.
  if (!config) return;
  const widget = new Widget(host, config, backend, new Memory(id), script.dataset.mode === "page");
  document.body.append(host);
  widget.begin();
  window.Call2MeWidget = { open: () => widget.open(true), close: () => widget.close() };
}

const script = ourScript();
if (script) {
  const begin = () => void show(script).catch(() => undefined);
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin, { once: true });
}
