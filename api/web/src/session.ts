/** Who is signed in: tokens of this tab, renewed before they end. */

import { Emitter } from "./events";
import { type Ask, RequestFailed, send } from "./requests";

interface Tokens {
  access: string;
  refresh: string;
  /** Milliseconds since 1970. */
  endsAt: number;
}

interface Credentials {
  access_token: string;
  refresh_token: string;
  expires_in: number;
}

const KEY = "call2me.session";
const EARLY_MS = 60_000;

export class Session {
  readonly events = new Emitter<{ expired: undefined }>();
  #tokens: Tokens | null = stored();
  #renewing: Promise<void> | null = null;

  get isSignedIn(): boolean {
    return this.#tokens !== null;
  }

  async useLink(token: string): Promise<void> {
    await this.#sign("/v1/auth/quick-login/verify", { token });
  }

  async acceptInvite(token: string, password: string, name: string): Promise<void> {
    const body = { token, password, full_name: name === "" ? null : name };
    await this.#sign("/v1/auth/invite/accept", body);
  }

  async logIn(email: string, password: string): Promise<void> {
    await this.#sign("/v1/auth/login", { email, password });
  }

  /** Forgets the tokens at once; the server is told, but not waited for. */
  logOut(): void {
    const tokens = this.#tokens;
    this.#keep(null);
    if (tokens) {
      const body = { refresh_token: tokens.refresh };
      send("/v1/auth/logout", { method: "POST", body, accessToken: tokens.access }).catch(() => undefined);
    }
  }

  /** A request as the person who is signed in. A refused token is renewed once. */
  async ask(path: string, ask: Ask = {}): Promise<Response> {
    if (this.#tokens && this.#tokens.endsAt - EARLY_MS < Date.now()) await this.#renewOnce();
    const used = this.#tokens?.access ?? null;
    try {
      return await send(path, { ...ask, accessToken: used });
    } catch (error) {
      if (!isRefused(error)) throw error;
    }
    // Another request may have renewed it in the meantime.
    if (this.#tokens?.access === used) await this.#renewOnce();
    try {
      return await send(path, { ...ask, accessToken: this.#tokens?.access ?? null });
    } catch (error) {
      if (isRefused(error)) this.#expire();
      throw error;
    }
  }

  async #sign(path: string, body: unknown): Promise<void> {
    const response = await send(path, { method: "POST", body });
    this.#keep(tokensOf((await response.json()) as Credentials));
  }

  /** A refresh token is good once, so all who need a new one wait for the same. */
  #renewOnce(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    const tokens = this.#tokens;
    if (!tokens) throw new RequestFailed(401, "");
    try {
      await this.#sign("/v1/auth/refresh", { refresh_token: tokens.refresh });
    } catch (error) {
      if (isRefused(error)) this.#expire();
      throw error;
    }
  }

  #expire(): void {
    if (!this.#tokens) return;
    this.#keep(null);
    this.events.emit("expired", undefined);
  }

  #keep(tokens: Tokens | null): void {
    this.#tokens = tokens;
    try {
      if (tokens) sessionStorage.setItem(KEY, JSON.stringify(tokens));
      else sessionStorage.removeItem(KEY);
    } catch {
      // A browser that stores nothing asks to sign in after each reload.
    }
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof RequestFailed && error.status === 401;
}

function tokensOf(credentials: Credentials): Tokens {
  return {
    access: credentials.access_token,
    refresh: credentials.refresh_token,
    endsAt: Date.now() + credentials.expires_in * 1000,
  };
}

function stored(): Tokens | null {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Partial<Tokens> | null;
    const isWhole = found && typeof found.access === "string" && typeof found.refresh === "string";
    return isWhole ? { access: "", refresh: "", endsAt: 0, ...found } : null;
  } catch {
    return null;
  }
}
