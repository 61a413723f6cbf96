"""A real shard whose voice says words, and whose packets are written down as they pass its sockets.

Each line of `packets.jsonl` in its data folder: which way, the call's own port, payload type, number,
timestamp, bytes of sound.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from aiortp import RtpPacket
from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from tests.support import instant_shard, speech
from worker.lines.rtp.media import Address
from worker.lines.rtp.sockets import Aged, Received, Sockets
from worker.settings import WorkerSettings


class WordsTTS(tts.TTS[str]):
    """Says what it is given."""

    def __init__(self) -> None:
        capabilities = tts.TTSCapabilities(streaming=False)
        super().__init__(capabilities=capabilities, sample_rate=speech.RATE, num_channels=1)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """The words."""
        return _Spoken(tts=self, input_text=text, conn_options=conn_options)


class _Spoken(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(), sample_rate=speech.RATE, num_channels=1, mime_type="audio/pcm"
        )
        pcm = await asyncio.to_thread(speech.spoken, self.input_text)
        output_emitter.push(np.ascontiguousarray(pcm).tobytes())
        output_emitter.flush()


def tap(file: TextIO) -> None:
    """Write down what passes the sockets of every call."""
    send, expect = Sockets.send, Sockets.expect

    def note(way: str, sockets: Sockets, data: bytes) -> None:
        packet = RtpPacket.parse(data)
        told: list[Any] = [way, sockets._rtp.getsockname()[1], packet.payload_type]
        told += [packet.sequence_number, packet.timestamp, len(packet.payload)]
        file.write(json.dumps(told) + "\n")

    def sent(self: Sockets, packet: bytes, to: Address) -> None:
        note("out", self, packet)
        send(self, packet, to)

    def expecting(self: Sockets, on_rtp: Aged, on_rtcp: Received) -> None:
        def came(data: bytes, source: Address, age: float) -> None:
            note("in", self, data)
            on_rtp(data, source, age)

        expect(self, came, on_rtcp)

    Sockets.send, Sockets.expect = sent, expecting  # type: ignore[method-assign]


def main() -> None:
    """Run until SIGTERM."""
    speech.spoken("Ready.")
    with (Path(WorkerSettings.load().home) / "packets.jsonl").open("a", buffering=1) as file:
        tap(file)
        instant_shard.main(WordsTTS)
