"""The paced caller, a process of its own: speaks the script, hears the answers, keeps the times.

    python -m bench.parts.caller_process SOCKET CALLS      prints one JSON line for each call

Frames of 20 ms leave on a monotonic clock; a frame's sound is over when it leaves, as from a microphone. A
run is void when more than 1 % of them left more than 5 ms late.
"""

import asyncio
import contextlib
import json
import sys
import time

import numpy as np

from bench.parts.script import BARGED_IN, MURMURED, RATE, TURNS, Utterance, utterances
from bench.parts.wire import LABEL, SOUND, packed, received

FRAME = RATE // 50
FRAME_SECONDS = 0.02
LOUD = 1000
LATE_SECONDS = 0.005
ANSWER_SECONDS = 6.0
BARGE_IN_AFTER_SECONDS = 0.7
MURMUR_AFTER_SECONDS = 1.2
BETWEEN_SECONDS = 0.5
_SILENCE = np.zeros(FRAME, np.int16)


class PacedCaller:
    """One call. All times are `time.monotonic()`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._saying: tuple[np.ndarray, int] | None = None
        self._said_at = 0.0
        self._said = asyncio.Event()
        self.sounds: list[tuple[float, float]] = []
        """Stretches of the agent's sound: first and last moment heard."""
        self.sent = self.late = 0

    async def feed(self) -> None:
        """Send a frame every 20 ms for ever."""
        due = time.monotonic()
        while True:
            frame = _SILENCE
            if self._saying is not None:
                pcm, at = self._saying
                frame = pcm[at : at + FRAME]
                frame = np.pad(frame, (0, FRAME - len(frame)))
                self._saying = (pcm, at + FRAME) if at + FRAME < len(pcm) else None
            if self._writer.is_closing():
                raise ConnectionError("the host hung up")
            self._writer.write(packed(SOUND, frame.tobytes()))
            now = time.monotonic()
            self.sent += 1
            self.late += now - due > LATE_SECONDS
            if self._saying is None and not self._said.is_set():
                self._said_at = now
                self._said.set()
            due += FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def listen(self) -> None:
        """Note when there is sound."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                _, body = await received(self._reader)
                now = time.monotonic()
                if np.abs(np.frombuffer(body, np.int16)).max() < LOUD:
                    continue
                if self.sounds and now - self.sounds[-1][1] < 0.08:
                    self.sounds[-1] = (self.sounds[-1][0], now)
                else:
                    self.sounds.append((now, now))

    async def say(self, turn: int, said: Utterance) -> tuple[float, float]:
        """Say it; returns when its first and its last sound were over."""
        self._writer.write(packed(LABEL, json.dumps([turn, said.name]).encode()))
        self._said.clear()
        self._saying = (said.pcm, 0)
        await self._said.wait()
        left = len(said.pcm) / RATE
        frames = -(-len(said.pcm) // FRAME) * FRAME_SECONDS
        began = self._said_at - frames
        return began, began + (said.end if said.end <= left else left)

    async def heard_after(self, moment: float, timeout: float = ANSWER_SECONDS) -> float | None:
        """When the first sound began after `moment`; None when none did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    if found := [start for start, _ in self.sounds if start >= moment]:
                        return found[0]
                    await asyncio.sleep(0.005)
        return None

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing was heard for so long."""
        left = self.sounds[-1][1] + seconds - time.monotonic() if self.sounds else 0.0
        if left > 0:
            await asyncio.sleep(left)
            await self.quiet(seconds)

    async def call(self) -> dict[str, object]:
        """The whole script."""
        said = utterances()
        turns, stops, murmurs = [], [], []
        await self.heard_after(0)
        await self.quiet(BETWEEN_SECONDS)
        for number, name in enumerate(TURNS):
            began, ended = await self.say(number, said[name])
            cut = any(start > began for start, _ in self.sounds if start < ended)
            heard = await self.heard_after(ended)
            turns.append({"name": name, "cut": cut, "ms": None if heard is None else (heard - ended) * 1000})
            if heard is not None and number in BARGED_IN:
                await asyncio.sleep(max(0.0, heard + BARGE_IN_AFTER_SECONDS - time.monotonic()))
                onset, over = await self.say(number + 100, said["stop"])
                before = [end for start, end in self.sounds if start < onset + 0.05]
                stops.append((before[-1] - onset) * 1000 if before else None)
                await self.heard_after(over)
            elif heard is not None and number in MURMURED:
                await asyncio.sleep(max(0.0, heard + MURMUR_AFTER_SECONDS - time.monotonic()))
                count = len(self.sounds)
                await self.say(number + 100, said["uh-huh"])
                await self.quiet(1.0)
                pieces = self.sounds[count - 1 :]
                hole = pieces[1][0] - pieces[0][1] if len(pieces) > 1 else 0.0
                length = sum(end - start for start, end in pieces)
                murmurs.append({"hole_ms": hole * 1000, "stopped": length < 3.5})
            await self.quiet(BETWEEN_SECONDS)
        return {"turns": turns, "stops": stops, "murmurs": murmurs, "sent": self.sent, "late": self.late}


async def one(socket: str, delay: float) -> dict[str, object]:
    """Call once, after a while, so that many calls are not in step."""
    await asyncio.sleep(delay)
    reader, writer = await asyncio.open_unix_connection(socket)
    caller = PacedCaller(reader, writer)
    working = [asyncio.ensure_future(caller.feed()), asyncio.ensure_future(caller.listen())]
    try:
        return await caller.call()
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        writer.close()


async def main(socket: str, calls: int) -> None:
    """All calls."""
    utterances()
    for result in await asyncio.gather(*(one(socket, number * 0.37) for number in range(calls))):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
