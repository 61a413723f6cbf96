"""How loud a voice is; one that is muted has nothing to say."""

import numpy as np
from livekit import rtc
from livekit.agents import FlushSentinel, llm


def at_volume(frame: rtc.AudioFrame, volume: float) -> rtc.AudioFrame:
    """The same sound louder or softer; what would be too loud is cut, not wrapped around."""
    samples = np.frombuffer(frame.data, np.int16).astype(np.float32) * volume
    louder = rtc.AudioFrame(
        np.clip(samples, -32768, 32767).astype(np.int16).tobytes(),
        frame.sample_rate,
        frame.num_channels,
        frame.samples_per_channel,
    )
    louder.userdata.update(frame.userdata)
    return louder


def without_words(chunk: llm.ChatChunk | str | FlushSentinel) -> llm.ChatChunk | None:
    """What is left of an answer that nobody hears: functions, and what it has cost."""
    if not isinstance(chunk, llm.ChatChunk):
        return None
    if chunk.delta is None or not chunk.delta.content:
        return chunk
    return chunk.model_copy(update={"delta": chunk.delta.model_copy(update={"content": None})})
