"""The same agent in text: streamed, with its functions and its knowledge, and no line at all."""

import contextlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines import text_turn as turns
from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import CallBrief
from pipelines.phrases import phrase
from pipelines.providers import ProviderSettings
from pipelines.text_turn import Done, Noted, Piece, TextHost, Used, text_turn
from pipelines.tools.developer import Functions, load
from pipelines.tools.knowledge import PASSAGES, Passage
from pipelines.transcript import Utterance
from tests.support.fake_providers import Call, FakeParts, TableLLM

NOW = datetime(2026, 3, 5, 9, 7, tzinfo=UTC)


def brief(transcript: Sequence[Utterance] = (), **changes: Any) -> CallBrief:
    engine = {"instructions": "Be kind to {{name}}.", "provider": "scripted", "model": ""}
    agent = {"agent_id": "a", "name": "A", "engine": engine, "begin_message": "Hello {{name}}."} | changes
    return CallBrief(
        call_id="chat_1",
        agent=AgentConfig.model_validate(agent),
        variables={"name": "Ada"},
        transcript=tuple(transcript),
    )


def host(mind: TableLLM, functions: Functions | None = None, **more: Any) -> TextHost:
    local: Any = FakeParts(mind=lambda: mind)
    return TextHost(ProviderSettings(), functions or Functions(), local=local, **more)


async def events(about: CallBrief, message: str, on: TextHost, **options: Any) -> list[Any]:
    return [event async for event in text_turn(about, message, on, now=NOW, **options)]


def messages(mind: TableLLM) -> list[Any]:
    """What the engine was asked last, without the rules."""
    found = [item for item in mind.asked[-1].items if item.type == "message"]
    return found[1:]


async def test_an_answer_comes_in_pieces_and_has_one_end() -> None:
    mind = TableLLM({"Hi.": "**Good** morning to you."})
    told = await events(brief(), "Hi.", host(mind))
    pieces = [event.text for event in told if isinstance(event, Piece)]
    assert len(pieces) > 2
    assert "".join(pieces).strip() == "**Good** morning to you.", "as it was written, for the eye"
    assert [type(event) for event in told].count(Done) == 1
    assert (told[-1].text, told[-1].error) == ("**Good** morning to you.", "")
    assert mind.asked[0].items[0].text_content == "Be kind to Ada."


async def test_without_a_message_the_agent_opens_the_talk() -> None:
    (*_, done) = await events(brief(begin_message_mode="static"), "", host(TableLLM()))
    assert done.text == "Hello Ada."
    (*_, silent) = await events(brief(opening={"caller_first": True}), "", host(TableLLM()))
    assert silent.text == ""


async def test_the_next_turn_knows_what_was_said_also_in_another_process() -> None:
    mind = TableLLM()
    (*_, first) = await events(brief(), "One.", host(mind))
    memory = json.loads(json.dumps(first.memory))
    await events(brief(), "Two.", host(mind), memory=memory)
    said = [item.text_content.strip() for item in messages(mind)]
    assert said == ["One.", "You said: One.", "Two."]


async def test_a_transcript_will_do_for_a_memory() -> None:
    mind = TableLLM()
    utterance = Utterance(utterance_id="u", role="user", text="One.", started_at=NOW, ended_at=NOW)
    await events(brief([utterance]), "Two.", host(mind))
    assert [item.text_content for item in messages(mind)] == ["One.", "Two."]


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_ITEMS", 4)
    mind, memory = TableLLM(), None
    for number in range(6):
        (*_, done) = await events(brief(), f"Number {number}.", host(mind), memory=memory)
        memory = done.memory
    assert len(memory["items"]) <= 4
    assert len(messages(mind)) <= 5, "four things that were said, and the question"


async def test_its_functions_run_and_their_results_are_remembered(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "from livekit.agents import ToolError, function_tool\n"
        "@function_tool\nasync def book(day: str) -> str:\n"
        "    'Book.'\n    if day == 'Sunday':\n        raise ToolError('closed')\n    return f'on {day}'\n"
    )
    mind = TableLLM({"Go.": Call("book", {"day": "Monday"}), "No.": Call("book", {"day": "Sunday"})})
    engine = {"provider": "scripted", "functions": [{"type": "python", "name": "book"}]}
    told = await events(brief(engine=engine), "Go.", host(mind, load(tmp_path)))
    assert Used("book", {"day": "Monday"}, result="on Monday") in told
    assert told[-1].text == "Done: on Monday"
    assert "function_call_output" in {item["type"] for item in told[-1].memory["items"]}
    told = await events(brief(engine=engine), "No.", host(mind, load(tmp_path)), memory=told[-1].memory)
    assert Used("book", {"day": "Sunday"}, error="closed") in told


async def test_the_same_function_in_a_later_turn_is_another_deed(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "from livekit.agents import RunContext, function_tool\n"
        "@function_tool\nasync def book(context: RunContext) -> str:\n"
        "    'Book.'\n    return context.function_call.extra['idempotency_key']\n"
    )
    mind = TableLLM({"Go.": Call("book")})
    engine = {"provider": "scripted", "functions": [{"type": "python", "name": "book"}]}
    first = await events(brief(engine=engine), "Go.", host(mind, load(tmp_path)))
    again = await events(brief(engine=engine), "Go.", host(mind, load(tmp_path)))
    later = await events(brief(engine=engine), "Go.", host(mind, load(tmp_path)), memory=first[-1].memory)
    keys = [[event.result for event in told if isinstance(event, Used)] for told in (first, again, later)]
    assert keys[0] == keys[1], "a retry of the same turn"
    assert keys[2] != keys[0]


async def test_it_answers_from_the_knowledge_base() -> None:
    class Library:
        async def find(self, question: str) -> Sequence[Passage]:
            return [{"source_id": "s", "title": "Hours", "text": f"for {question}", "score": 1.0}]

    mind = TableLLM()
    await events(brief(), "When?", host(mind, knowledge=Library()))
    (passages,) = [item.extra[PASSAGES] for item in messages(mind) if PASSAGES in item.extra]
    assert passages[0]["text"] == "for When?"


async def test_what_is_not_as_it_was_asked_for_is_noted() -> None:
    engine = {"provider": "scripted", "functions": [{"type": "python", "name": "gone"}]}
    told = await events(brief(engine=engine, begin_message="{{nick}}"), "Hi.", host(TableLLM()))
    assert [event.code for event in told if isinstance(event, Noted)] == [
        "variable_unknown",
        "function_unavailable",
    ]


async def test_an_engine_that_fails_is_said_so_in_the_agents_language() -> None:
    mind = TableLLM()
    mind.fails = True
    (*_, done) = await events(brief(language="de-DE"), "Hi.", host(mind))
    assert done.text == phrase("apology", "de")
    assert done.error.startswith("error:")


async def test_an_engine_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.3)
    mind = TableLLM()
    mind.stalls = 1
    (*_, done) = await events(brief(), "Hi.", host(mind))
    assert done.error == "error: the agent did not answer"


async def test_whoever_leaves_early_leaves_nothing_running() -> None:
    mind = TableLLM({"Hi.": "word " * 500})
    talk = text_turn(brief(), "Hi.", host(mind), now=NOW)
    async with contextlib.aclosing(talk):
        async for event in talk:
            if isinstance(event, Piece):
                break


async def test_the_scripted_engine_answers_offline() -> None:
    instructions = "You are the receptionist of a hotel.\n\n# Facts\n- Breakfast is served from 7 to 10.\n"
    about = brief(engine={"instructions": instructions, "provider": "scripted"})
    (*_, done) = await events(about, "When is breakfast?", TextHost(ProviderSettings()))
    assert "7" in done.text
    assert done.error == ""
