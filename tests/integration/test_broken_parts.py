"""Engines, voices, ears and functions that fail in a call: the caller always hears something."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pipelines.agent_config import EngineConfig, ReminderConfig
from pipelines.contract.events import (
    FunctionCalled,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.last_words import WORDS
from pipelines.phrases import phrase
from pipelines.tools.developer import load
from tests.support.fake_providers import Call
from tests.support.held_call import GREETING, words
from tests.support.provider_server import KEY, provider_server
from tests.support.stack import free_port
from tests.support.wire.faults import Fault
from worker.watchdog import Limits, tools, turns


async def test_an_engine_that_fails_is_apologised_for_and_on_record(hold: Any) -> None:
    async with hold(heard=("Are you there?", "And now?")) as held:
        await held.greeted()
        held.llm.fails = True
        held.say(words("Are you there?"))
        await held.until(lambda: any("sorry" in text for text in held.tts.said))
        held.llm.fails = False
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.say(words("And now?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 5)
        held.line.leave()
    assert {event.code for event in held.of(WarningRaised)} >= {"llm_failed"}
    assert held.of(UtteranceHeard)[-1].utterance.text == "You said: And now?"


async def test_an_engine_that_fails_in_a_language_without_an_apology_is_not_silent(hold: Any) -> None:
    async with hold(heard=("Ni hao?",), language="zh") as held:
        await held.greeted()
        held.llm.fails = True
        held.say(words("Are you there?"))
        await held.until(lambda: any("sorry" in text for text in held.tts.said))
        held.line.leave()


@pytest.mark.parametrize("way", ["fails", "breaks"])
async def test_a_voice_that_is_gone_ends_the_call_with_recorded_words(hold: Any, way: str) -> None:
    async with hold() as held:
        setattr(held.tts, way, 1_000_000)
        await held.task
    assert [event.code for event in held.of(WarningRaised)].count("tts_failed") == 2
    assert held.of(UtteranceHeard)[-1].utterance.text == WORDS["en"]
    assert held.line.output.heard_seconds > 3.0, "in full, before the line goes"
    ended = held.events()[-1]
    assert (ended.status, ended.reason.split(":")[1].strip()) == ("failed", "the agent has no voice")
    assert held.line.is_hung_up


async def test_an_engine_that_is_gone_leaves_the_owners_words_and_a_callback(hold: Any) -> None:
    fallback = {"action": "callback", "message": "We will call you back."}
    async with hold(heard=("Are you there?", "Hello?"), fallback=fallback) as held:
        await held.greeted()
        held.llm.fails = True
        held.say(words("Are you there?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        await asyncio.sleep(1.0)
        held.say(words("Hello?"))
        await held.task
    assert held.of(UtteranceHeard)[-1].utterance.text == "We will call you back."
    (called,) = held.of(FunctionCalled)
    assert called.name == "request_callback"
    assert held.events()[-1].reason.startswith("error: no language model answers")


async def test_an_engine_that_is_gone_hands_the_caller_to_a_human_where_the_line_can(hold: Any) -> None:
    fallback = {"action": "transfer", "target": "Front desk"}
    desk = {"name": "Front desk", "kind": "phone", "value": "+15550100"}
    async with hold(fallback=fallback, transfer_targets=[desk]) as held:
        await held.until(lambda: hasattr(held, "line"))
        handed: list[str] = []

        async def transfer(target: Any, *, seconds: float) -> bool:
            handed.append(target.value)
            return False

        held.line.transfer = transfer  # type: ignore[method-assign]
        held.tts.fails = True
        await held.task
    assert handed == ["+15550100"]
    ended = held.events()[-1]
    assert (ended.status, ended.reason) == ("transferred", "transferred")


async def test_a_voice_that_broke_once_apologises_and_the_call_goes_on(hold: Any) -> None:
    async with hold(heard=("And now?",)) as held:
        held.tts.breaks = 1
        await held.until(lambda: any("sorry" in text for text in held.tts.said))
        await held.greeted()
        held.say(words("And now?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.line.leave()
    assert [event.code for event in held.of(WarningRaised)].count("tts_failed") == 1
    assert held.of(UtteranceHeard)[-1].utterance.text == "You said: And now?"
    assert held.events()[-1].reason == "user_hangup"


async def test_ears_that_break_are_apologised_for_and_hear_the_next_words(hold: Any) -> None:
    async with hold(heard=("Can you hear me?",)) as held:
        await held.greeted()
        held.stt.breaks = 1
        held.say(words("Are you there?"))
        await held.until(lambda: any("sorry" in text for text in held.tts.said))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 2)
        held.say(words("Can you hear me?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 4)
        held.line.leave()
    assert "stt_failed" in {event.code for event in held.of(WarningRaised)}
    assert held.of(UtteranceHeard)[-1].utterance.text == "You said: Can you hear me?"


async def test_a_function_that_fails_is_recorded_with_its_error(hold: Any, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "f.py").write_text(
        "from livekit.agents import ToolError, function_tool\n"
        "@function_tool\ndef book(day: str) -> str:\n    'Book.'\n    raise ToolError('closed that day')\n"
    )
    engine = EngineConfig(functions=({"type": "python", "name": "book"},)).model_dump()
    answers = {"Book me in.": Call("book", {"day": "Sunday"})}
    async with hold(heard=("Book me in.",), answers=answers, functions=load(folder), engine=engine) as held:
        await held.greeted()
        held.say(words("Please book me in."))
        await held.until(lambda: held.of(FunctionCalled))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.line.leave()
    (called,) = held.of(FunctionCalled)
    assert (called.name, called.result, called.error) == ("book", None, "closed that day")
    shown = next(message for message in held.line.told if message["kind"] == "function")
    assert "arguments" not in shown


@pytest.mark.parametrize("fault", ["", "silent"])
async def test_a_goodbye_in_the_engines_own_words_is_said_or_else_the_written_one(
    hold: Any, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    # Seconds are the least that an agent may ask for; the test has fewer.
    silent = Limits(3600, 2.0, ReminderConfig.model_construct(frequency_ms=60_000, max_count=0))
    monkeypatch.setattr(Limits, "of", lambda agent, longest: silent)
    async with provider_server(free_port()) as server:
        server.faults["chat"] = fault
        server.answer = server.continuation = "Have a nice day, and see you soon."
        environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"}
        goodbye = {"mode": "dynamic", "prompt": "Wish a nice day."}
        engine = {"provider": "openai", "model": "gpt-4o"}
        async with hold(goodbye=goodbye, engine=engine, environment=environment) as held:
            held.llm.stalls = 100 if fault else 0  # the next in the chain
        asked = [message["content"] for message in server.chats[-1]["messages"]]
    assert any("Say goodbye" in text and "Wish a nice day." in text for text in asked)
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said == [GREETING, phrase("goodbye", "en") if fault else server.answer]
    assert held.events()[-1].reason == "silence"
    assert server.refused == []


async def test_an_engine_that_says_nothing_is_asked_again(hold: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SILENT_SECONDS", 1.0)
    async with hold(heard=("Are you there?",)) as held:
        await held.greeted()
        held.llm.stalls = 1
        held.say(words("Are you there?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 4)
        held.line.leave()
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said[1:] == ["Are you there?", phrase("moment", "en"), "You said: Are you there?"]
    assert "turn_silent" in [event.code for event in held.of(WarningRaised)]


async def test_an_engine_that_stays_silent_is_apologised_for(
    hold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 2.5)
    async with hold(heard=("Are you there?", "And now?")) as held:
        await held.greeted()
        held.llm.stalls = 100
        held.say(words("Are you there?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 4)
        held.llm.stalls = 0
        held.say(words("And now?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 6)
        held.line.leave()
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said[2:] == [phrase("moment", "en"), phrase("apology", "en"), "And now?", "You said: And now?"]
    turns_told = [event.code for event in held.of(WarningRaised) if event.code.startswith("turn_")]
    assert turns_told == ["turn_silent", "turn_unanswered"]


async def test_a_function_that_takes_long_is_talked_over(
    hold: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "REASSURE_SECONDS", 0.8)
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "f.py").write_text(
        "import asyncio\nfrom livekit.agents import function_tool\n"
        "@function_tool\nasync def book() -> str:\n"
        "    'Book.'\n    await asyncio.sleep(2)\n    return 'Booked'\n"
    )
    engine = EngineConfig(functions=({"type": "python", "name": "book"},)).model_dump()
    answers: dict[str, str | Call] = {"Book me in.": Call("book")}
    async with hold(heard=("Book me in.",), answers=answers, functions=load(folder), engine=engine) as held:
        await held.greeted()
        held.say(words("Please book me in."))
        await held.until(lambda: held.tts.said[-1:] == ["Done: Booked"])
        held.line.leave()
    assert held.tts.said[1] == phrase("moment", "en")


BLOCKS = """
import time
from livekit.agents import function_tool

@function_tool
async def stands_still(day: str) -> str:
    "Blocks."
    time.sleep(0.3)
    return "x" * 1_000_000

@function_tool
async def breaks() -> str:
    "Breaks."
    raise RuntimeError("the password is swordfish")
"""


async def test_a_bad_function_hurts_nothing_but_its_own_answer_and_is_named(
    hold: Any, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.py").write_text(BLOCKS)
    names = ["stands_still", "breaks"]
    async with hold(
        heard=("Stand still.", "Break."),
        answers={"Stand still.": Call("stands_still", {"day": "Monday"}), "Break.": Call("breaks")},
        functions=load(tmp_path / "bad"),
        engine={"functions": [{"type": "python", "name": name} for name in names]},
    ) as held:
        await held.greeted()
        held.say(words("Stand still."))
        await held.until(lambda: len(held.of(FunctionCalled)) == 1)
        await held.line.session.interrupt(force=True)  # the answer would be read aloud to its last letter
        held.say(words("Break."))
        await held.until(lambda: len(held.of(FunctionCalled)) == 2)
        held.line.leave()
    long, broken = held.of(FunctionCalled)
    assert (long.name, long.arguments, long.error) == ("stands_still", {"day": "Monday"}, None)
    assert len(long.result) < 10_000
    assert long.duration_ms >= 300
    assert (broken.result, broken.error) == (
        None,
        "breaks failed; nothing more is known. (RuntimeError: the password is swordfish)",
    )
    assert "function_blocks" in [event.code for event in held.of(WarningRaised)]
