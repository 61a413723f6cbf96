/** How loud a stream is right now, from 0 to 1 in a few bands, for the meter. */

const BANDS = 5;
/** Hz; speech lives between them. */
const LOW = 90;
const HIGH = 4200;

export class Levels {
  #context: AudioContext | null = null;
  readonly #analysers = new Map<
    "user" | "agent",
    { node: AnalyserNode; source: MediaStreamAudioSourceNode }
  >();
  readonly #bins = new Uint8Array(new ArrayBuffer(512));

  /** Call from a click: browsers start audio only then. */
  open(): void {
    try {
      this.#context ??= new AudioContext();
      void this.#context.resume().catch(() => undefined);
    } catch {
      this.#context = null; // no meter, but a call all the same
    }
  }

  watch(side: "user" | "agent", stream: MediaStream | null): void {
    this.#analysers.get(side)?.source.disconnect();
    this.#analysers.delete(side);
    if (!stream || !this.#context || stream.getAudioTracks().length === 0) return;
    const node = new AnalyserNode(this.#context, { fftSize: 1024, smoothingTimeConstant: 0.75 });
    const source = this.#context.createMediaStreamSource(stream);
    source.connect(node);
    this.#analysers.set(side, { node, source });
  }

  /** One value a band, low to high; zeros where nothing is watched. */
  read(side: "user" | "agent"): number[] {
    const watched = this.#analysers.get(side);
    if (!watched || !this.#context) return new Array<number>(BANDS).fill(0);
    watched.node.getByteFrequencyData(this.#bins);
    const width = this.#context.sampleRate / watched.node.fftSize;
    return Array.from({ length: BANDS }, (_, band) => {
      const from = Math.floor(edge(band) / width);
      const to = Math.max(from + 1, Math.floor(edge(band + 1) / width));
      let sum = 0;
      for (let bin = from; bin < to; bin += 1) sum += this.#bins[bin] ?? 0;
      return Math.min(1, sum / (to - from) / 200);
    });
  }

  close(): void {
    this.watch("user", null);
    this.watch("agent", null);
    void this.#context?.close().catch(() => undefined);
    this.#context = null;
  }
}

/** Bands grow as hearing does: each spans the same ratio. */
function edge(band: number): number {
  return LOW * (HIGH / LOW) ** (band / BANDS);
}
