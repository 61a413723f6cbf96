/** Whether sound has any way out of this browser. */

const TIMEOUT_MS = 2000;

/**
 * Browsers gather no candidates on the loopback interface, so a machine with nothing else up
 * cannot call even itself. Answers true when it cannot be known in time.
 */
export async function hasNetwork(): Promise<boolean> {
  if (typeof RTCPeerConnection === "undefined") return false;
  const connection = new RTCPeerConnection();
  try {
    const gathered = new Promise<boolean>((resolve) => {
      connection.onicecandidate = (event) => {
        // An empty candidate string ends one generation; null ends them all.
        if (event.candidate?.candidate) resolve(true);
        else if (event.candidate === null) resolve(false);
      };
      setTimeout(() => resolve(true), TIMEOUT_MS);
    });
    connection.createDataChannel("probe");
    await connection.setLocalDescription();
    return await gathered;
  } catch {
    return true;
  } finally {
    connection.close();
  }
}
