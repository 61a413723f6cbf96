/** What a tab remembers of a widget: who the visitor is, and what was written. Gone with the tab. */

export interface Line {
  side: "visitor" | "agent";
  text: string;
}

interface Kept {
  visitor: string;
  lines: Line[];
  wasClosed: boolean;
}

const MOST = 100;

export class Memory {
  readonly #key: string;
  readonly #kept: Kept;

  constructor(widgetId: string) {
    this.#key = `call2me.widget.${widgetId}`;
    this.#kept = { visitor: newVisitor(), lines: [], wasClosed: false };
    try {
      Object.assign(this.#kept, JSON.parse(sessionStorage.getItem(this.#key) ?? "{}"));
    } catch {
      // A browser that keeps nothing begins anew with each page.
    }
  }

  get visitor(): string {
    return this.#kept.visitor;
  }

  get lines(): readonly Line[] {
    return this.#kept.lines;
  }

  get wasClosed(): boolean {
    return this.#kept.wasClosed;
  }

  add(line: Line): void {
    this.#kept.lines = [...this.#kept.lines, line].slice(-MOST);
    this.#write();
  }

  closed(): void {
    this.#kept.wasClosed = true;
    this.#write();
  }

  #write(): void {
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(this.#kept));
    } catch {
      // As above.
    }
  }
}

/** Whoever knows it could go on with this chat, so nobody may guess it. */
function newVisitor(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `visitor_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
