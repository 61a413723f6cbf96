"""What two say who were put through is kept, where their agent says so: a real exchange and its shards."""

import asyncio
import contextlib
import itertools
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipelines import ogg
from pipelines.contract.events import CallEnded
from tests.integration.test_phone_transfers import (
    AGENT,
    TALK,
    asks_for_somebody,
    called,
    is_clean,
    is_transferred,
    picks_up,
    referred,
)
from tests.support.recordings import RATE, decoded
from tests.support.rtp import tone
from tests.support.speech import words
from tests.support.telephony import Stage, calling, staged

pytestmark = [pytest.mark.phones, pytest.mark.timeout(150)]

CALLERS, PERSONS = 900, 2100
"""Hertz of what the two say."""
LOUD = 1500
HANDED_ON_SECONDS = 0.5
"""Of nothing recorded where the agent leaves, also while the api does not answer: none, or 0.05."""
KILLED_SECONDS = 2.0
"""And where the process that recorded died: less than a second of it was not on disk yet."""
_STEP = RATE // 20


def loud(sound: np.ndarray, hertz: int) -> np.ndarray:
    """Whether a tone is heard, twenty times a second."""
    turns = np.exp(-2j * np.pi * hertz * np.arange(_STEP) / RATE)
    steps = sound[: len(sound) // _STEP * _STEP].reshape(-1, _STEP)
    return np.asarray(abs((steps * turns).mean(axis=1)) * 2 > LOUD)


def pauses(is_loud: np.ndarray) -> list[float]:
    """Seconds of each silence between the first sound and the last."""
    heard = np.flatnonzero(is_loud)
    runs = itertools.groupby(is_loud[heard[0] : heard[-1] + 1])
    return [len(list(run)) / 20 for is_heard, run in runs if not is_heard]


def keeper(stage: Stage, attempt: int) -> psutil.Process | None:
    """The shard that records them."""
    name = f"c1.{attempt}.ogg"
    for process in stage.processes.values():
        with contextlib.suppress(psutil.NoSuchProcess):  # killed a moment ago
            met = psutil.Process(process.pid)
            if any(Path(one.path).name == name for one in met.open_files()):
                return met
    return None


async def test_two_who_were_put_through_are_kept_also_when_the_process_that_does_it_dies(
    tmp_path: Path,
) -> None:
    kept = {"record_after_transfer": True, "transcribe_after_transfer": True}
    async with staged(**TALK, **AGENT, **kept) as (stage, carrier):
        first, second = words("My order has not come."), words("Which number has it, please?")
        async with calling(stage, carrier) as caller:
            await asks_for_somebody(stage, caller)
            (await referred(stage, caller)).refuse(603)
            async with called(carrier) as person:
                caller.phone.say(tone(120.0, CALLERS))
                await asyncio.sleep(1.0)
                async with picks_up(person) as phone:
                    phones = caller.phone, phone
                    stage.is_deaf = True
                    await is_transferred(stage)
                    phone.say(tone(120.0, PERSONS))
                    await asyncio.sleep(0.5)
                    stage.is_deaf = False
                    recorded = await stage.until(lambda: keeper(stage, 2))
                    await asyncio.sleep(1.5)
                    began = [len(one.heard) for one in phones]
                    for one, said, role, text in zip(
                        phones, (first, second), ("user", "person"), TALK["heard"], strict=True
                    ):
                        one.hush()
                        one.say(said)
                        await stage.until(lambda role=role, text=text: (role, text) in stage.said("c1", 2))
                        one.say(tone(120.0, CALLERS if role == "user" else PERSONS))
                    await asyncio.sleep(1.5)
                    recorded.kill()
                    await stage.until(lambda: keeper(stage, 3))
                    await asyncio.sleep(1.5)
                    for one, since in zip(phones, began, strict=True):
                        numbers = [packet.sequence_number for _, packet in one.heard[since:]]
                        expected = range(numbers[0], numbers[0] + len(numbers))
                        assert numbers == [number & 0xFFFF for number in expected], "nobody noticed"
                        assert len(numbers) > 100
                    # Another exchange relays them, and the shard that hears them goes on.
                    stage.processes["exchange"].kill()
                    await stage.processes["exchange"].wait()
                    await stage.start("exchange")
                    since = len(phone.heard)
                    await stage.until(lambda: len(phone.heard) > since + 50, 30)
                    phone.hush()
                    phone.say(second)
                    await stage.until(lambda: ("person", TALK["heard"][0]) in stage.said("c1", 3))
        await stage.until(lambda: (e := stage.events("c1", 3)) and e[-1].kind == "call_ended")
        assert len(stage.overheard["c1"]) == 2
        ended = stage.events("c1", 3)[-1]
        assert isinstance(ended, CallEnded)
        assert (ended.has_recording, ended.is_bridged, ended.is_overheard) == (True, True, True)
        assert 0.5 < ended.usage["stt_seconds"] < 10
        whole = tmp_path / "whole.ogg"
        ogg.join([stage.home / "spool" / f"c1.{n}.ogg" for n in (1, 2, 3)], whole)
        left, right = decoded(whole)
        await is_clean(stage)
    callers, persons = loud(left, CALLERS), loud(right, PERSONS)
    for is_loud in (callers, persons):
        # The longer ones: while words were said in the place of the tone, and until there was an exchange.
        *handed_on, killed, _, _ = sorted(pauses(is_loud))
        assert max(handed_on, default=0.0) < HANDED_ON_SECONDS
        assert killed < KILLED_SECONDS
    assert not loud(left, PERSONS).any(), "each on a side of their own"
    assert not loud(right, CALLERS).any()
