/** What a widget asks of its api. */

export interface Brand {
  app_name: string | null;
  logo_url: string | null;
  accent_color: string | null;
  support_email: string | null;
}

export interface Config {
  widget_id: string;
  name: string;
  agent_name: string;
  greeting_message: string;
  placeholder_text: string;
  primary_color: string;
  position: "bottom-right" | "bottom-left";
  avatar_url: string | null;
  show_branding: boolean;
  language: string;
  auto_open: boolean;
  auto_open_delay_ms: number;
  voice_mode: "chat" | "voice" | "both";
  voice_greeting_enabled: boolean;
  greeting_audio_url: string | null;
  brand: Brand | null;
}

export interface Ticket {
  token: string;
  url: string;
}

/** `status` is that of the reply; 0 when nobody answered. */
export class Failed extends Error {
  constructor(readonly status: number) {
    super(`${status}`);
  }
}

const SILENCE_MS = 45_000;

/** A web call's reply names the same things otherwise. */
interface Started {
  token?: string;
  web_token?: string;
  url?: string;
  livekit_url?: string;
}

export type Kind = "widgets" | "web-call/public";

export class Backend {
  constructor(
    readonly base: string,
    readonly id: string,
    readonly kind: Kind = "widgets",
  ) {}

  async config(): Promise<Config | null> {
    const response = await fetch(this.#path("config"), { credentials: "omit" });
    return response.ok ? ((await response.json()) as Config) : null;
  }

  /** The answer as it grows; raises `Failed`. A stream that falls silent for too long has failed too. */
  async *answer(message: string, visitorId: string): AsyncGenerator<string> {
    const controller = new AbortController();
    let timer = 0;
    const alive = () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => controller.abort(), SILENCE_MS);
    };
    alive();
    try {
      const body = { message, visitor_id: visitorId, stream: true };
      const response = await this.#post("chat", body, controller.signal);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      if (!reader) throw new Failed(0);
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read().catch(() => {
          throw new Failed(0);
        });
        if (done) throw new Failed(0);
        alive();
        const events = (rest + value).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) {
          if (!event.startsWith("data: ")) continue;
          const data = event.slice(6);
          if (data === "[DONE]") return;
          const told = JSON.parse(data) as { delta?: string; error?: string; status?: number | string };
          if (told.error) throw new Failed(Number(told.status) || 0);
          if (told.delta) yield told.delta;
        }
      }
    } finally {
      clearTimeout(timer);
      controller.abort();
    }
  }

  async ticket(visitorId: string): Promise<Ticket> {
    const name = this.kind === "widgets" ? "voice-token" : "start";
    const response = await this.#post(name, { visitor_id: visitorId }, AbortSignal.timeout(20_000));
    const { token, web_token, url, livekit_url } = (await response.json()) as Started;
    return { token: token ?? web_token ?? "", url: url ?? livekit_url ?? "" };
  }

  async #post(name: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const response = await fetch(this.#path(name), {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    }).catch(() => {
      throw new Failed(0);
    });
    if (!response.ok) throw new Failed(response.status);
    return response;
  }

  #path(name: string): string {
    return `${this.base}/v1/${this.kind}/${this.id}/${name}`;
  }
}
