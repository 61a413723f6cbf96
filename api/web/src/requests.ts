/** One request to our own api: a deadline, JSON both ways, and its error's own sentence. */

const TIMEOUT_MS = 15_000;

/** The api answered, and not with what was asked for. */
export class RequestFailed extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
  ) {
    super(detail);
  }
}

/** Nothing answered at all, or not in time. */
export class Unreachable extends Error {}

export interface Ask {
  method?: "GET" | "POST" | "PATCH";
  body?: unknown;
  accessToken?: string | null;
  accept?: string;
  /** Only while it is as it was when this was its `ETag`. */
  ifMatch?: string;
}

export async function send(path: string, ask: Ask = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: ask.accept ?? "application/json" };
  if (ask.accessToken) headers.Authorization = `Bearer ${ask.accessToken}`;
  if (ask.ifMatch) headers["If-Match"] = ask.ifMatch;
  const init: RequestInit = {
    method: ask.method ?? "GET",
    headers,
    credentials: "omit",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  if (ask.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(ask.body);
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    throw new Unreachable(String(error));
  }
  if (!response.ok) throw new RequestFailed(response.status, detail(await text(response)));
  return response;
}

/** The sentence in an error's body: text under `detail`, or the first of a 422's list. */
export function detail(body: string): string {
  try {
    const found = (JSON.parse(body) as { detail?: unknown }).detail;
    if (typeof found === "string") return found;
    const first = Array.isArray(found) ? (found[0] as { msg?: unknown }) : null;
    return typeof first?.msg === "string" ? first.msg : "";
  } catch {
    return "";
  }
}

async function text(response: Response): Promise<string> {
  try {
    return await response.text();
  } catch {
    return "";
  }
}
