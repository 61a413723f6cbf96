"""What a phone's sound is coded with: G.711 in both laws, and G.722."""

from typing import Protocol, cast

import av
import numpy as np
from aiortp.codecs import PcmaCodec, PcmuCodec
from av.filter import Graph

from worker.lines.rtp.media import CodecName

_WIDE_RATE = 16_000
_BYTES = 2


class Codec(Protocol):
    """One direction's state each way. PCM is int16 mono little-endian at `rate`; frames are 20 ms."""

    rate: int
    has_memory: bool
    """What a frame is coded as depends on those before it."""

    def encode(self, pcm: bytes) -> bytes:
        """160 bytes for 20 ms."""

    def decode(self, payload: bytes) -> bytes:
        """What was sent; any length."""


class _Law:
    rate = 8_000
    has_memory = False

    def __init__(self, law: PcmuCodec | PcmaCodec) -> None:
        self.encode, self.decode = law.encode, law.decode


class _G722:
    rate = _WIDE_RATE
    has_memory = True

    def __init__(self) -> None:
        self._encoder = av.CodecContext.create("g722", "w")
        self._decoder = av.CodecContext.create("g722", "r")
        for context in (self._encoder, self._decoder):
            context.sample_rate = _WIDE_RATE
            context.layout = "mono"
        self._encoder.format = "s16"
        self._encoder.open()
        self._decoder.open()

    def encode(self, pcm: bytes) -> bytes:
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16).reshape(1, -1), "s16", "mono")
        frame.sample_rate = _WIDE_RATE
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))

    def decode(self, payload: bytes) -> bytes:
        frames = self._decoder.decode(av.Packet(payload))
        return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def codec_of(name: CodecName) -> Codec:
    """A codec with fresh state; it is for one call."""
    if name == "G722":
        return _G722()
    return _Law(PcmuCodec() if name == "PCMU" else PcmaCodec())


class Resampler:
    """From one rate to another, piece by piece, 2 ms late.

    `av.AudioResampler` does the same, with a thread for each core, idle for as long as the call is in memory.
    """

    def __init__(self, source_rate: int, rate: int) -> None:
        self._source_rate, self._is_idle = source_rate, source_rate == rate
        self._graph = graph = Graph()
        graph.threads = 1
        graph.link_nodes(
            graph.add("abuffer", sample_rate=str(source_rate), sample_fmt="s16", channel_layout="mono"),
            graph.add("aformat", sample_rates=str(rate), sample_fmts="s16", channel_layouts="mono"),
            graph.add("abuffersink"),
        ).configure()

    def push(self, pcm: bytes) -> bytes:
        """What has come out by now."""
        if self._is_idle:
            return pcm
        # Bytes into the plane and out of it: by way of arrays a frame takes twice as long.
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // _BYTES)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._source_rate
        return self._through(frame)

    def finish(self) -> bytes:
        """What was still under way; nothing can be pushed afterwards."""
        return b"" if self._is_idle else self._through(None)

    def _through(self, frame: av.AudioFrame | None) -> bytes:
        self._graph.push(frame)
        pieces: list[bytes] = []
        while True:
            try:
                out = cast("av.AudioFrame", self._graph.pull())
            except (BlockingIOError, EOFError):  # nothing more by now, or ever
                return b"".join(pieces)
            pieces.append(bytes(out.planes[0])[: out.samples * _BYTES])
