/** The LiveKit room of one call, told in the words of this page. Loaded on the first talk. */

import {
  type AudioCaptureOptions,
  ConnectionState,
  createLocalAudioTrack,
  DisconnectReason,
  type LocalAudioTrack,
  LogLevel,
  type Participant,
  ParticipantKind,
  RemoteAudioTrack,
  Room,
  RoomEvent,
  setLogLevel,
  type TextStreamReader,
  Track,
} from "livekit-client";
import type { Heard } from "./captions";
import { Emitter } from "./events";
import { CHAT_TOPIC, LIVE_TOPIC, type LiveEvent, readEvent, TRANSCRIPTION_TOPIC } from "./live-events";

export type { LocalAudioTrack };
export type AgentState = "listening" | "thinking" | "speaking";
export type Closing = "us" | "room_deleted" | "network" | "other";

export interface RoomEvents {
  heard: Heard;
  live: LiveEvent;
  agentState: AgentState | null;
  agentJoined: undefined;
  agentLeft: undefined;
  voice: MediaStream | null;
  soundBlocked: boolean;
  reconnecting: undefined;
  reconnected: undefined;
  microphoneLost: unknown;
  closed: Closing;
}

const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true } as const;

setLogLevel(LogLevel.silent);

// Browsers hide it from pages that are not secure; livekit-client names its text streams with it.
crypto.randomUUID ??= () => {
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte, index) =>
    (index === 6 ? (byte & 0x0f) | 0x40 : index === 8 ? (byte & 0x3f) | 0x80 : byte)
      .toString(16)
      .padStart(2, "0"),
  ).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
};

export class CallRoom {
  readonly events = new Emitter<RoomEvents>();
  readonly #room = new Room({ adaptiveStream: false, dynacast: false });
  readonly #sound: HTMLElement;
  #isLeaving = false;

  /** Audio elements are put into `sound`, which must stay in the document. */
  constructor(sound: HTMLElement) {
    this.#sound = sound;
    this.#listen();
  }

  /** Raises what livekit-client raises; 10 s for the signal, 10 s for the sound's path. */
  async connect(url: string, token: string): Promise<void> {
    await this.#room.connect(url, token, {
      maxRetries: 0,
      websocketTimeout: 10_000,
      peerConnectionTimeout: 10_000,
    });
    for (const participant of this.#room.remoteParticipants.values()) this.#arrived(participant);
    this.events.emit("soundBlocked", !this.#room.canPlaybackAudio);
  }

  /** Raises what `getUserMedia` raises. Returns the stream for the meter. */
  async setMicrophone(isOn: boolean, deviceId: string): Promise<MediaStream | null> {
    const published = await this.#room.localParticipant.setMicrophoneEnabled(isOn, options(deviceId));
    const track = published?.track?.mediaStreamTrack;
    return track ? new MediaStream([track]) : null;
  }

  /** Publishes a microphone that was opened before the room existed. */
  async publish(microphone: LocalAudioTrack): Promise<MediaStream> {
    await this.#room.localParticipant.publishTrack(microphone, { source: Track.Source.Microphone });
    return new MediaStream([microphone.mediaStreamTrack]);
  }

  async switchMicrophone(deviceId: string): Promise<MediaStream | null> {
    await this.#room.switchActiveDevice("audioinput", deviceId || "default", false);
    const track = this.#room.localParticipant.getTrackPublication(Track.Source.Microphone)?.track;
    return track ? new MediaStream([track.mediaStreamTrack]) : null;
  }

  async write(text: string): Promise<void> {
    await this.#room.localParticipant.sendText(text, { topic: CHAT_TOPIC });
  }

  async playSound(): Promise<void> {
    await this.#room.startAudio();
  }

  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#room.disconnect();
    this.#sound.replaceChildren();
  }

  #listen(): void {
    this.#room.registerTextStreamHandler(TRANSCRIPTION_TOPIC, (reader, from) => {
      void this.#read(reader, from.identity);
    });
    this.#room
      .on(RoomEvent.ParticipantConnected, (participant) => this.#arrived(participant))
      .on(RoomEvent.ParticipantDisconnected, (participant) => {
        if (participant.kind === ParticipantKind.AGENT) this.events.emit("agentLeft", undefined);
      })
      .on(RoomEvent.ParticipantAttributesChanged, (_changed, participant) => this.#state(participant))
      .on(RoomEvent.TrackSubscribed, (track) => {
        if (!(track instanceof RemoteAudioTrack)) return;
        this.#sound.append(track.attach());
        this.events.emit("voice", new MediaStream([track.mediaStreamTrack]));
      })
      .on(RoomEvent.TrackUnsubscribed, (track) => {
        for (const element of track.detach()) element.remove();
        if (track.kind === Track.Kind.Audio) this.events.emit("voice", null);
      })
      .on(RoomEvent.DataReceived, (payload, participant, _kind, topic) => {
        const event = topic === LIVE_TOPIC && !isPerson(participant) ? readEvent(payload) : null;
        if (event) this.events.emit("live", event);
      })
      .on(RoomEvent.AudioPlaybackStatusChanged, () =>
        this.events.emit("soundBlocked", !this.#room.canPlaybackAudio),
      )
      .on(RoomEvent.MediaDevicesError, (error) => this.events.emit("microphoneLost", error))
      .on(RoomEvent.SignalReconnecting, () => this.events.emit("reconnecting", undefined))
      .on(RoomEvent.Reconnecting, () => this.events.emit("reconnecting", undefined))
      .on(RoomEvent.Reconnected, () => this.events.emit("reconnected", undefined))
      .on(RoomEvent.ConnectionStateChanged, (state) => {
        if (state === ConnectionState.Connected) this.events.emit("reconnected", undefined);
      })
      .on(RoomEvent.Disconnected, (reason) => this.events.emit("closed", this.#closing(reason)));
  }

  #arrived(participant: Participant): void {
    if (participant.kind !== ParticipantKind.AGENT) return;
    this.events.emit("agentJoined", undefined);
    this.#state(participant);
  }

  #state(participant: Participant): void {
    if (participant.kind !== ParticipantKind.AGENT) return;
    const state = participant.attributes["lk.agent.state"];
    const isKnown = state === "listening" || state === "thinking" || state === "speaking";
    this.events.emit("agentState", isKnown ? state : null);
  }

  /**
   * A person's words come as one stream for each version of a segment, the agent's as one stream
   * that grows. Either way the text so far replaces what the segment was.
   */
  async #read(reader: TextStreamReader, identity: string): Promise<void> {
    const attributes = reader.info.attributes ?? {};
    const segmentId = attributes["lk.segment_id"] ?? reader.info.id;
    const side = identity === this.#room.localParticipant.identity ? "user" : "agent";
    const isGrowing = side === "agent";
    let text = "";
    try {
      for await (const chunk of reader) {
        text += chunk;
        if (isGrowing) this.events.emit("heard", { segmentId, side, text, isFinal: false });
      }
    } catch {
      // The sender is gone in mid-sentence: what was said stays.
    }
    const isFinal = isGrowing || attributes["lk.transcription_final"] === "true";
    this.events.emit("heard", { segmentId, side, text, isFinal });
  }

  #closing(reason: DisconnectReason | undefined): Closing {
    if (this.#isLeaving || reason === DisconnectReason.CLIENT_INITIATED) return "us";
    if (reason === DisconnectReason.ROOM_DELETED || reason === DisconnectReason.ROOM_CLOSED)
      return "room_deleted";
    if (reason === undefined || reason === DisconnectReason.SIGNAL_CLOSE) return "network";
    return reason === DisconnectReason.CONNECTION_TIMEOUT || reason === DisconnectReason.STATE_MISMATCH
      ? "network"
      : "other";
  }
}

/** Opens a microphone. Raises what `getUserMedia` raises. */
export function openMicrophone(deviceId: string): Promise<LocalAudioTrack> {
  return createLocalAudioTrack(options(deviceId));
}

function options(deviceId: string): AudioCaptureOptions {
  return deviceId ? { ...MICROPHONE, deviceId: { ideal: deviceId } } : MICROPHONE;
}

function isPerson(participant: Participant | undefined): boolean {
  return participant !== undefined && participant.kind !== ParticipantKind.AGENT;
}
