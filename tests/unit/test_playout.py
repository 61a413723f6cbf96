"""The agent's sound on its clock: paced, held, cut, and reported to ten milliseconds."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent, PlaybackProgressedEvent

from tests.support.virtual_clock import played
from worker.lines.playout import LEAD_SECONDS, Playout

RATE = 24_000


class Stage:
    """A playout whose frames are kept with the time at which they left."""

    def __init__(self, ready: "asyncio.Future[None] | None" = None) -> None:
        self.sent: list[float] = []
        self.finished: list[PlaybackFinishedEvent] = []
        self.runs: list[PlaybackProgressedEvent] = []
        self.playout = Playout(self._take, RATE, ready)
        self.playout.on("playback_finished", self.finished.append)
        self.playout.on("playback_progressed", self.runs.append)

    async def _take(self, frame: rtc.AudioFrame) -> None:
        assert frame.samples_per_channel == RATE // 100
        self.sent.append(time.time())

    async def make(self, seconds: float) -> None:
        """Hand over so much sound in frames of 50 ms, faster than it plays."""
        for _ in range(round(seconds / 0.05)):
            pcm = np.full(RATE // 20, 5000, np.int16)
            await self.playout.capture_frame(rtc.AudioFrame(pcm.tobytes(), RATE, 1, len(pcm)))


def on_stage(act: Any) -> Stage:
    async def acted() -> Stage:
        stage = Stage()
        await act(stage)
        await stage.playout.aclose()
        return stage

    stage: Stage = played(acted())
    return stage


def test_sound_leaves_at_its_pace_a_packet_ahead() -> None:
    async def act(stage: Stage) -> None:
        await stage.make(1.0)
        stage.playout.flush()
        await stage.playout.wait_for_playout()

    stage = on_stage(act)
    assert len(stage.sent) == 100
    assert stage.sent[1] - stage.sent[0] <= LEAD_SECONDS / 2
    assert stage.sent[-1] - stage.sent[0] == pytest.approx(0.99 - LEAD_SECONDS, abs=0.011)
    assert stage.finished[0].playback_position == pytest.approx(1.0)
    assert not stage.finished[0].interrupted


def test_a_pause_holds_it_and_it_goes_on_where_it_was() -> None:
    async def act(stage: Stage) -> None:
        await stage.make(1.0)
        stage.playout.flush()
        await asyncio.sleep(0.405)
        stage.playout.pause()
        held = len(stage.sent)
        await asyncio.sleep(2.0)
        assert len(stage.sent) <= held + 1
        stage.playout.resume()
        await stage.playout.wait_for_playout()

    stage = on_stage(act)
    assert len(stage.sent) == 100
    first, second = stage.runs
    assert first.offset + first.duration == pytest.approx(second.offset)
    assert second.started_at - first.started_at > 2.3
    assert stage.finished[0].playback_position == pytest.approx(1.0)


@pytest.mark.parametrize("is_held", [False, True])
def test_what_is_cut_off_is_known_to_where_it_was_heard(is_held: bool) -> None:
    async def act(stage: Stage) -> None:
        await stage.make(3.0)
        await asyncio.sleep(0.5)
        if is_held:
            stage.playout.pause()
            await asyncio.sleep(1.0)
        stage.playout.clear_buffer()
        stage.playout.flush()
        await stage.playout.wait_for_playout()
        stage.playout.resume()
        await stage.make(0.1)
        stage.playout.flush()
        await stage.playout.wait_for_playout()

    stage = on_stage(act)
    assert [event.interrupted for event in stage.finished] == [True, False]
    assert stage.finished[0].playback_position == pytest.approx(0.52, abs=0.021)
    assert sum(run.duration for run in stage.runs) == pytest.approx(len(stage.sent) * 0.01)


def test_sound_that_comes_too_slowly_is_two_stretches() -> None:
    async def act(stage: Stage) -> None:
        await stage.make(0.2)
        await asyncio.sleep(1.0)
        await stage.make(0.2)
        stage.playout.flush()
        await stage.playout.wait_for_playout()

    stage = on_stage(act)
    assert [round(run.duration, 2) for run in stage.runs] == [0.2, 0.2]
    assert stage.finished[0].playback_position == pytest.approx(0.4)


def test_nothing_leaves_before_somebody_listens() -> None:
    async def act() -> Stage:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stage = Stage(ready)
        making = asyncio.ensure_future(stage.make(0.1))
        await asyncio.sleep(1.0)
        assert not stage.sent
        ready.set_result(None)
        await making
        stage.playout.flush()
        await stage.playout.wait_for_playout()
        await stage.playout.aclose()
        return stage

    assert len(played(act()).sent) == 10
