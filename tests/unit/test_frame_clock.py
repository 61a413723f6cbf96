"""Many lines on one clock, and sound that is read when it is due."""

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest

from worker.lines.rtp import sockets as reading
from worker.lines.rtp.clock import FULL, MOMENTS, Clock
from worker.lines.rtp.media import FRAME_SECONDS, Address
from worker.lines.rtp.sockets import MOST_A_WAKE, Sockets


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


async def test_the_first_frame_is_due_within_20_ms_at_every_moment() -> None:
    clock = Clock()
    for _ in range(MOMENTS * FULL):
        clock.join(Line().tick)
    timers = [moment._timer for moment in clock._moments]
    now = asyncio.get_running_loop().time()
    assert all(timer is not None and timer.when() - now <= FRAME_SECONDS for timer in timers)


async def test_a_standstill_is_told_in_frames_and_only_to_who_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("worker.lines.rtp.clock.time", SimpleNamespace(monotonic=lambda: now))
    clock, early, late = Clock(), Line(), Line()
    clock.join(early.tick)
    now = 0.25  # the standstill
    clock.join(late.tick)
    async with asyncio.timeout(10):
        while not late.frames:
            await asyncio.sleep(FRAME_SECONDS)
    assert early.missed == 11
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
            for _ in range(3):
                sockets.read()
            assert len(came) == 2 + MOST_A_WAKE, "in pieces, so that other calls have their turn"
            await asyncio.sleep(0)
            assert len(came) == 2 + 2 * MOST_A_WAKE, "one piece a turn"
            while len(came) < 202:
                await asyncio.sleep(0)
                sockets.read()
    sockets.close()
    sockets.read()


async def test_a_flood_has_its_share_of_a_frame_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_PIECES", 2)
    ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    ours.bind(("127.0.0.1", 0))
    came: list[bytes] = []
    sockets = Sockets(ours)
    sockets.expect(lambda data, source, age: came.append(data), lambda data, source: None)
    with theirs:
        for _ in range(3 * MOST_A_WAKE):
            theirs.sendto(b"flood", ours.getsockname())
        sockets.read()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(came) == 2 * MOST_A_WAKE, "the rest waits for the next frame"
        sockets.read()
        assert len(came) == 3 * MOST_A_WAKE
    sockets.close()


async def test_a_flood_of_a_socket_that_is_read_as_it_comes_leaves_time_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "_REST_SECONDS", 0.2)
    ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    ours.bind(("127.0.0.1", 0))
    came: list[bytes] = []
    sockets = Sockets(ours)
    sockets.open(lambda data, source: came.append(data), lambda data, source: None)
    with theirs:
        for _ in range(3 * MOST_A_WAKE):
            theirs.sendto(b"flood", ours.getsockname())
        async with asyncio.timeout(10):
            while not came:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(came) == MOST_A_WAKE
            while len(came) < 2 * MOST_A_WAKE:
                await asyncio.sleep(0.01)
            sockets.close()
            await asyncio.sleep(0.3)
    assert len(came) == 2 * MOST_A_WAKE, "and a closed one is not read again"
