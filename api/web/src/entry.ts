/** What must be at hand before a call can begin. */

import { type Failure, microphoneFailure } from "./failures";
import { chosenMicrophone, isMicrophoneAllowedHere } from "./microphone";
import type { LocalAudioTrack } from "./room";

type RoomModule = typeof import("./room");

/** The code that speaks WebRTC: loaded on the first talk, not with the page. */
export async function loadRoom(): Promise<RoomModule> {
  try {
    return await import("./room");
  } catch {
    throw new Failed({ code: "offline" });
  }
}

export async function openMicrophone(module: RoomModule): Promise<LocalAudioTrack> {
  if (!isMicrophoneAllowedHere()) throw new Failed({ code: "insecure" });
  try {
    return await module.openMicrophone(chosenMicrophone());
  } catch (error) {
    throw new Failed(microphoneFailure(error));
  }
}

/** The person hung up before there was a call. */
export class Cancelled extends Error {}

/** A failure on its way to the page. */
export class Failed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.code);
  }
}
