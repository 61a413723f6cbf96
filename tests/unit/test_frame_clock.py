"""Many lines on one clock, and sound that is read when it is due."""

import asyncio
import socket
import time

from worker.lines.rtp.clock import FULL, MOMENTS, Clock
from worker.lines.rtp.media import FRAME_SECONDS, Address
from worker.lines.rtp.sockets import Sockets


class Line:
    """Counts its frames."""

    def __init__(self) -> None:
        self.frames = self.missed = 0
        self.at: list[float] = []

    def tick(self, behind: int) -> None:
        self.frames += 1 + behind
        self.missed += behind
        self.at.append(time.monotonic())


async def test_each_line_has_a_frame_every_20_ms_and_together_they_have_few_wake_ups() -> None:
    clock, lines = Clock(), [Line() for _ in range(FULL + 1)]
    began = time.monotonic()
    for line in lines:
        clock.join(line.tick)
    await asyncio.sleep(0.5)
    due = (time.monotonic() - began) / FRAME_SECONDS
    assert all(due - 1.5 <= line.frames <= due + 1.5 for line in lines)
    wakes = {round(at, 2) for line in lines[:FULL] for at in line.at}
    assert len(wakes) < 2 * due, "those of one moment are told in a row"


async def test_a_moment_that_is_full_leaves_the_rest_to_the_next() -> None:
    clock, lines = Clock(), [Line() for _ in range(MOMENTS * FULL * 2)]
    for line in lines:
        clock.join(line.tick)
    assert [len(moment) for moment in clock._moments] == [FULL * 2] * MOMENTS
    for line in lines:
        clock.leave(line.tick)
        clock.leave(line.tick)
    await asyncio.sleep(2 * FRAME_SECONDS)
    assert not any(line.frames for line in lines)


async def test_a_standstill_is_told_in_frames_and_only_to_who_was_there() -> None:
    clock, early, late = Clock(), Line(), Line()
    clock.join(early.tick)
    await asyncio.sleep(0.1)
    time.sleep(0.2)  # noqa: ASYNC251 - the standstill
    clock.join(late.tick)
    await asyncio.sleep(FRAME_SECONDS / 2)
    assert early.missed >= 8
    assert late.missed == 0


async def test_a_line_that_leaves_in_the_middle_keeps_nobody_else_waiting() -> None:
    clock, other = Clock(), Line()

    def leaves(behind: int) -> None:
        clock.leave(leaves)

    clock.join(leaves)
    clock.join(other.tick)
    await asyncio.sleep(5 * FRAME_SECONDS)
    assert other.frames >= 2


async def test_sound_is_read_when_asked_with_its_age() -> None:
    ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    ours.bind(("127.0.0.1", 0))
    came: list[tuple[bytes, Address, float]] = []
    sockets = Sockets(ours)
    sockets.read()  # not open yet
    sockets.expect(lambda data, source, age: came.append((data, source, age)), lambda data, source: None)
    with theirs:
        theirs.sendto(b"first", ours.getsockname())
        await asyncio.sleep(0.1)
        assert came == []
        theirs.sendto(b"second", ours.getsockname())
        async with asyncio.timeout(10):
            while len(came) < 2:
                sockets.read()
                await asyncio.sleep(0)
            (first, _, old), (second, source, young) = came
            assert (first, second, source[1]) == (b"first", b"second", theirs.getsockname()[1])
            assert old > 0.09
            assert young < old
            for _ in range(200):
                theirs.sendto(b"flood", ours.getsockname())
            sockets.read()
            assert len(came) < 202, "in pieces, so that other calls have their turn"
            while len(came) < 202:
                await asyncio.sleep(0)
                sockets.read()
    sockets.close()
    sockets.read()
