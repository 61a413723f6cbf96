"""How loud a voice is."""

import numpy as np
from livekit import rtc


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
