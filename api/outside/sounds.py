"""Sound from one form into another: files of any format into PCM, PCM into MP3.

PyAV comes with the first sound that is asked for: its 11 MB are in no api that never makes one.
"""

import io
from pathlib import Path

import numpy as np

HEARING_RATE = 16_000
MAX_HEARD_SECONDS = 120
MP3_RATE = 24_000
_MP3_BITS = 64_000


class NotAudio(Exception):
    """This is no sound that can be read"""


def mp3_of(pcm: bytes, rate: int) -> bytes:
    """int16 mono PCM, at least a sample of it, as an MP3."""
    import av  # noqa: PLC0415

    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], np.int16).reshape(1, -1)
    written = io.BytesIO()
    with av.open(written, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.bit_rate = _MP3_BITS
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        for resampled in av.AudioResampler(format="s16p", layout="mono", rate=rate).resample(frame):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return written.getvalue()


def pcm_of(sound: bytes) -> bytes:
    """int16 mono at 16 kHz, at most two minutes, of a file of any format; raises `NotAudio`."""
    import av  # noqa: PLC0415

    resampler = av.AudioResampler(format="s16", layout="mono", rate=HEARING_RATE)
    pcm = bytearray()
    try:
        with av.open(io.BytesIO(sound), "r") as container:
            for frame in container.decode(audio=0):
                for resampled in resampler.resample(frame):
                    pcm += resampled.to_ndarray().tobytes()
                if len(pcm) > MAX_HEARD_SECONDS * HEARING_RATE * 2:
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise NotAudio from error
    if not pcm:
        raise NotAudio
    return bytes(pcm[: MAX_HEARD_SECONDS * HEARING_RATE * 2])


def mp3_file(source: Path, target: Path) -> None:
    """A file of any format as an MP3, a piece at a time; raises `NotAudio`. Blocks: for a thread."""
    import av  # noqa: PLC0415

    try:
        with av.open(str(source), "r") as read, av.open(str(target), "w", format="mp3") as written:
            rate = read.streams.audio[0].rate or MP3_RATE
            layout = "stereo" if read.streams.audio[0].channels > 1 else "mono"
            rate = rate if rate in {16_000, 24_000, 32_000, 44_100, 48_000} else MP3_RATE
            stream = written.add_stream("libmp3lame", rate=rate, layout=layout)
            stream.bit_rate = _MP3_BITS
            resampler = av.AudioResampler(format="s16p", layout=layout, rate=rate)
            for frame in read.decode(audio=0):
                for resampled in resampler.resample(frame):
                    resampled.pts = None
                    written.mux(stream.encode(resampled))
            for resampled in resampler.resample(None):
                resampled.pts = None
                written.mux(stream.encode(resampled))
            written.mux(stream.encode(None))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise NotAudio from error
