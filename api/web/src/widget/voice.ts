/** Loaded when somebody begins to talk, and not before: livekit-client is 30 times the widget. */

export { CallRoom, openMicrophone } from "../room";
