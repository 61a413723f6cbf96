/** Whether sound has any way out of this browser. */

const TIMEOUT_MS = 1000;

export type Network = "there" | "none" | "unknown";

/**
 * Browsers gather no candidates on the loopback interface, so a machine with nothing else up
 * cannot call even itself. Chromium says so at once, but not to the first who asks: that one
 * hears nothing at all.
 */
export async function findNetwork(): Promise<Network> {
  const found = await probe();
  return found === "unknown" ? await probe() : found;
}

async function probe(): Promise<Network> {
  if (typeof RTCPeerConnection === "undefined") return "none";
  const connection = new RTCPeerConnection();
  try {
    const gathered = new Promise<Network>((resolve) => {
      connection.onicecandidate = (event) => {
        // An empty candidate string ends one generation; null ends them all.
        if (event.candidate?.candidate) resolve("there");
        else if (event.candidate === null) resolve("none");
      };
      setTimeout(() => resolve("unknown"), TIMEOUT_MS);
    });
    connection.createDataChannel("probe");
    await connection.setLocalDescription();
    return await gathered;
  } catch {
    return "unknown";
  } finally {
    connection.close();
  }
}
