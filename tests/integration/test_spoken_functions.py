"""Functions in a spoken conversation, on a virtual clock: what is said meanwhile, and who is let speak."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import function_tool, llm

from pipelines.tools.developer import Functions
from tests.support.fake_providers import Call
from tests.support.virtual_clock import played
from tests.support.virtual_talk import Talk, talking

ASKS = "When is my parcel here?"
ANSWERS = {ASKS: Call("parcel"), "Never mind.": "All right."}
FILLER = "One moment please."


def talked(seconds: float, then: Callable[[Talk], Any], **how: Any) -> tuple[Talk, list[str]]:
    """Somebody asks for what takes so many seconds; `then` is what happens meanwhile."""
    state: list[str] = []

    @function_tool
    async def parcel() -> str:
        """Where a parcel is."""
        state.append("started")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            state.append("cancelled")
            raise
        state.append("finished")
        return "Tomorrow."

    async def talk() -> Talk:
        entry = {"type": "python", "name": "parcel", **how}
        functions = Functions({"parcel": parcel})
        async with talking(ANSWERS, functions=functions, engine={"functions": [entry]}) as talk:
            knows = talk.mind.answer
            talk.mind.answer = lambda ctx: _news(ctx) or knows(ctx)  # type: ignore[method-assign]
            await talk.quiet()
            await talk.says(ASKS)
            await then(talk)
            return talk

    talk_ = played(talk())
    talk_.turns = [(role, text.strip(), was_cut) for role, text, was_cut in talk_.turns]
    return talk_, state


def _news(chat_ctx: llm.ChatContext) -> str:
    """What an engine says that is told that results came in late."""
    last = chat_ctx.items[-1]
    is_told = isinstance(last, llm.ChatMessage) and "New results arrived" in (last.text_content or "")
    results = [item.output for item in chat_ctx.items if isinstance(item, llm.FunctionCallOutput)]
    return f"By the way: {results[-1]}" if is_told else ""


async def waits(talk: Talk) -> None:
    await talk.pause(12.0)


def test_nobody_waits_in_silence_for_a_function_that_takes_its_time() -> None:
    first: list[float] = []

    async def listens(talk: Talk) -> None:
        first.append(await talk.hears())
        await talk.pause(10.0)

    talk, state = talked(5.0, listens, speak_during_execution=FILLER)
    assert state == ["started", "finished"]
    assert talk.said("assistant")[1:] == [FILLER, "Done: Tomorrow."]
    assert first[0] < 1.2  # the end of the turn, and the half second in which most functions are done


def test_a_quick_one_is_answered_without_a_filler() -> None:
    talk, _ = talked(0.3, waits, speak_during_execution=FILLER)
    assert talk.said("assistant")[1:] == ["Done: Tomorrow."]


def test_one_that_hangs_is_given_up_and_told_of() -> None:
    talk, state = talked(60.0, waits, speak_during_execution=FILLER, timeout_ms=4000)
    assert state == ["started", "cancelled"]
    assert talk.said("assistant")[1:] == [FILLER, "Done: parcel took longer than 4 seconds and was given up."]


async def speaks_meanwhile(talk: Talk) -> None:
    await talk.pause(3.0)  # the filler is over
    await talk.says("Never mind.")
    talk.spoke_until = time.time()
    assert await talk.hears() < 1.5
    await talk.pause(12.0)


def test_the_caller_cancels_by_speaking_what_is_declared_so() -> None:
    talk, state = talked(8.0, speaks_meanwhile, speak_during_execution=FILLER, on_interruption="cancel")
    assert state == ["started", "cancelled"]
    assert talk.said("user") == [ASKS, "Never mind."]
    assert talk.said("assistant")[1:] == [FILLER, "All right."]


def test_what_must_finish_does_and_its_answer_follows_the_callers() -> None:
    talk, state = talked(8.0, speaks_meanwhile, speak_during_execution=FILLER)
    assert state == ["started", "finished"]
    assert talk.said("assistant")[1:] == [FILLER, "All right.", "By the way: Tomorrow."]


def test_a_filler_that_is_talked_over_stops_and_the_function_goes_on() -> None:
    async def barges_in(talk: Talk) -> None:
        await talk.hears()
        await talk.says("Never mind.")
        await talk.pause(12.0)

    talk, state = talked(5.0, barges_in, speak_during_execution="One moment please " * 6)
    assert state == ["started", "finished"]
    (filler,) = [turn for turn in talk.turns if turn[1].startswith("One")]
    assert filler[2] is True
    assert talk.said("assistant")[-2:] == ["All right.", "By the way: Tomorrow."]
