"""A call as the worker holds it, on a line without a network: the clock is real, the providers instant."""

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.contract.events import (
    CallEnded,
    CallStarted,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.noise import Quieted
from pipelines.phrases import phrase
from tests.support import sounds
from tests.support.held_call import GREETING, words
from worker.spool import AlreadySpooled, Spool
from worker.watchdog import playout


async def test_a_call_is_one_story_from_start_to_end(hold: Any) -> None:
    async with hold(
        heard=("What are your hours?",), answers={"What are your hours?": "Nine to five."}
    ) as held:
        await held.greeted()
        held.say(words("What are your opening hours?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.line.leave()
    events = held.events()
    assert held.identity == "caller"
    assert isinstance(events[0], CallStarted)
    said = [(event.utterance.role, event.utterance.text) for event in held.of(UtteranceHeard)]
    assert said == [("agent", GREETING), ("user", "What are your hours?"), ("agent", "Nine to five.")]
    assert (events[-1].kind, events[-1].status, events[-1].reason) == (
        "call_ended",
        "completed",
        "user_hangup",
    )
    assert [event.sequence for event in events] == list(range(len(events)))
    assert held.line.is_hung_up
    assert held.line.told[-1]["kind"] == "call_ended"


async def test_an_engine_is_made_ready_while_the_greeting_is_spoken(hold: Any) -> None:
    async with hold(heard=("And now?",), engine={"instructions": "Be kind."}) as held:
        await held.greeted()
        assert held.llm.prepared == ["Be kind."]
        held.line.leave()


@pytest.mark.parametrize("noise", ["white", "pink", "clicks"])
async def test_noise_alone_is_not_answered(hold: Any, noise: str) -> None:
    async with hold(heard=("", "", "", "", "", "", "", "")) as held:
        await held.greeted()
        held.say((sounds.NOISES[noise](4.0) * 32_000).astype(np.int16))
        await held.line.input.silent.wait()
        await asyncio.sleep(1.5)
        held.line.leave()
    assert [event.utterance.role for event in held.of(UtteranceHeard)] == ["agent"]
    assert held.of(UtteranceHeard)[0].utterance.text == GREETING


async def test_a_noise_only_holds_the_agent_who_then_goes_on(hold: Any) -> None:
    long = "This is a long greeting that goes on and on " * 3
    async with hold(heard=("",), begin_message=long.strip()) as held:
        await held.until(lambda: hasattr(held, "line") and hasattr(held.line, "output"))
        await held.until(lambda: held.line.output.heard_seconds > 1.5)
        held.say(words("Ah, hmm, hmm, hmm."))
        await held.greeted()
        held.line.leave()
    (greeting,) = held.of(UtteranceHeard)
    assert greeting.utterance.text == long.strip()
    assert not greeting.utterance.was_interrupted


async def test_a_caller_is_heard_through_the_noise_suppression(hold: Any) -> None:
    async with hold(heard=("Are you there?",), hearing={"noise_suppression": True}) as held:
        await held.greeted()
        assert isinstance(held.line.session.input.audio, Quieted)
        held.say(words("Are you there?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.line.leave()
    assert held.of(UtteranceHeard)[-1].utterance.text == "You said: Are you there?"
    assert "noise_suppression_unavailable" not in {event.code for event in held.of(WarningRaised)}


async def test_sound_that_a_line_does_not_play_is_cleared_and_the_talk_goes_on(
    hold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playout, "STUCK_SECONDS", 1.5)
    async with hold(begin_message="This is a long greeting that goes on and on") as held:
        await held.until(lambda: hasattr(held, "line") and hasattr(held.line, "output"))
        await held.until(lambda: held.line.output.heard_seconds > 0.5)
        held.line.output.pause()  # and nobody lets it go on
        await held.until(lambda: "playout_stuck" in [event.code for event in held.of(WarningRaised)])
        await held.until(lambda: held.of(UtteranceHeard)[-1:] and len(held.of(UtteranceHeard)) == 2)
        held.line.leave()
    cut, sorry = [event.utterance for event in held.of(UtteranceHeard)]
    assert cut.was_interrupted
    assert sorry.text == phrase("apology", "en")
    assert held.events()[-1].reason == "user_hangup"


async def test_a_caller_may_be_the_first_to_speak(hold: Any) -> None:
    async with hold(heard=("Hello?",), opening={"caller_first": True}) as held:
        await held.until(lambda: hasattr(held, "line") and hasattr(held.line, "output"))
        held.say(words("Hello, who is there?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 2)
        held.line.leave()
    assert [event.utterance.text for event in held.of(UtteranceHeard)] == ["Hello?", "You said: Hello?"]


async def test_an_opening_may_wait_and_a_voice_be_softer(hold: Any) -> None:
    async with hold(opening={"delay_ms": 1000}, voice={"volume": 0.25}) as held:
        await held.until(lambda: hasattr(held, "line") and hasattr(held.line, "output"))
        began = time.monotonic()
        await held.until(lambda: held.line.output.heard_seconds > 0)
        waited = time.monotonic() - began
        await held.greeted()
        held.line.leave()
    assert waited >= 0.9
    assert 2000 < held.line.output.loudest < 2500, "a quarter of the tone's 9000"


async def test_what_is_written_for_the_eye_is_said_for_the_ear_and_kept_as_written(hold: Any) -> None:
    answer = "It is **$60**, see [here](https://example.com)."
    voice = {"pronunciations": [{"word": "see", "say": "look"}]}
    async with hold(heard=("How much?",), answers={"How much?": answer}, voice=voice) as held:
        await held.greeted()
        held.say(words("How much is it?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.line.leave()
    assert "".join(held.tts.said).endswith("It is 60 dollars, look here.")
    assert held.of(UtteranceHeard)[-1].utterance.text == answer


async def test_a_recording_holds_what_was_heard_up_to_the_barge_in(hold: Any, tmp_path: Path) -> None:
    story = "a story " * 30
    async with hold(
        heard=("Tell me.", "Stop."), answers={"Tell me.": story, "Stop.": "Fine."}, enable_recording=True
    ) as held:
        await held.greeted()
        held.say(words("Tell me a story."))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 2)
        await asyncio.sleep(2.5)
        held.say(words("Stop it now, please stop."))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 5)
        await asyncio.sleep(0.3)
        heard_seconds = held.line.output.heard_seconds
        held.line.leave()
    told, _, cut, _, _ = [event.utterance for event in held.of(UtteranceHeard)]
    assert told.text == GREETING
    assert cut.was_interrupted
    assert story.startswith(cut.text)
    ended = held.events()[-1]
    assert isinstance(ended, CallEnded)
    assert ended.has_recording
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(tmp_path / "spool" / "c1.1.ogg"),
        "-f",
        "s16le",
        "-ar",
        "8000",
        "-",
    ]
    decoded = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    sides = np.frombuffer(decoded.stdout, np.int16).reshape(-1, 2).astype(float)
    blocks = np.abs(sides[: len(sides) // 160 * 160]).reshape(-1, 160, 2).max(axis=1) > 1000
    assert abs(blocks[:, 1].sum() * 0.02 - heard_seconds) < 0.4
    assert blocks[:, 0].sum() * 0.02 > 1.5


@pytest.mark.parametrize(("status", "reason"), [(404, "agent_gone"), (409, "call_over")])
async def test_a_call_without_a_brief_is_turned_away(hold: Any, status: int, reason: str) -> None:
    async with hold(status=status) as held:
        pass
    assert held.events() == []
    assert held.line.told == [
        {"kind": "call_ended", "status": "failed", "reason": reason, "message": held.line.told[0]["message"]}
    ]
    assert held.line.is_hung_up


async def test_a_second_process_for_the_same_attempt_writes_nothing(hold: Any, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    first = Spool.open(tmp_path / "spool", "c1", 1)
    with pytest.raises(AlreadySpooled):
        async with hold() as held:
            pass
    first.close()
    assert held.events() == []
    assert not hasattr(held, "line"), "the first one's line is left alone"


async def test_a_second_process_after_the_first_one_died_tells_the_page_and_leaves(
    hold: Any, tmp_path: Path
) -> None:
    (tmp_path / "spool").mkdir()
    Spool.open(tmp_path / "spool", "c1", 1).close()
    with pytest.raises(AlreadySpooled):
        async with hold() as held:
            pass
    assert [(message["kind"], message["reason"]) for message in held.line.told] == [
        ("call_ended", "unavailable")
    ]
    assert held.line.is_hung_up
    assert held.events() == []
