"""What ends, limits or steers a call: orders from outside, its own agent, its limits, and being handed on."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.agent_config import AgentConfig, ReminderConfig
from pipelines.choosing import Chooser
from pipelines.contract.actions import AddContext, Hold, Mute, Say, Transfer
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import (
    CallEnded,
    CallLost,
    FunctionCalled,
    Steered,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.contract.websocket import HangUp
from pipelines.costs import ModelPrice, Prices
from pipelines.phrases import phrase
from pipelines.transcript import Utterance
from tests.support.fake_providers import Call, FakeParts, ToneTTS
from tests.support.held_call import GREETING, steering, words
from worker.liveness import Liveness
from worker.watchdog import Limits


async def test_the_longest_call_is_as_long_as_the_brief_allows(
    hold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A minute is the least an agent may allow; the test has no minute.
    monkeypatch.setattr(Limits, "of", lambda agent, longest: Limits(2.0, 30.0))
    began = time.monotonic()
    async with hold(goodbye={"message": "Bye, {{nick}} see you."}) as held:
        pass
    assert held.events()[-1].reason == "max_duration"
    assert time.monotonic() - began < 15
    assert held.line.is_hung_up
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said[-1] == "Bye, see you."
    assert phrase("ending", "en") in held.tts.said
    assert "variable_unknown" in {event.code for event in held.of(WarningRaised)}


async def test_a_caller_who_is_silent_is_reminded_and_let_go_with_a_goodbye(
    hold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds are the least that an agent may ask for; the test has fewer.
    reminders = ReminderConfig.model_construct(frequency_ms=500, max_count=1)
    monkeypatch.setattr(Limits, "of", lambda agent, longest: Limits(3600, 4.0, reminders))
    async with hold(goodbye={"mode": "dynamic", "prompt": "Wish a nice day."}) as held:
        pass
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said == [GREETING, phrase("still_there", "en"), phrase("goodbye", "en")]
    assert held.events()[-1].reason == "silence"


async def test_an_order_of_the_api_ends_a_call_in_its_words(hold: Any, tmp_path: Path) -> None:
    lines: list[bytes] = []

    async def supervise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            lines.append(line)
            if b'"attempt":1' in line:
                await asyncio.sleep(0.5)
                writer.write(HangUp(call_id="c1", reason="agent_hangup").model_dump_json().encode() + b"\n")
        writer.close()

    (tmp_path / "run").mkdir()
    server = await asyncio.start_unix_server(supervise, tmp_path / "run" / "calls.sock")
    async with hold() as held:
        pass
    server.close()
    ended = held.events()[-1]
    assert (ended.status, ended.reason) == ("ended", "agent_hangup")
    assert held.line.is_hung_up
    assert b"goodbye" in lines[-1]


async def test_an_agent_ends_its_call_after_its_goodbye(hold: Any) -> None:
    async with hold(
        heard=("Goodbye.",),
        answers={"Goodbye.": Call("end_call", {"reason": "done"})},
        engine={"builtin_functions": ["end_call"]},
        goodbye={"message": "Have a nice day."},
    ) as held:
        await held.greeted()
        held.say(words("Goodbye."))
    assert held.of(UtteranceHeard)[-1].utterance.text == "Have a nice day."
    (ended,) = held.of(CallEnded)
    assert (ended.status, ended.reason) == ("completed", "agent_hangup")
    (called,) = held.of(FunctionCalled)
    assert (called.name, called.arguments, called.error) == ("end_call", {"reason": "done"}, None)


async def test_a_call_is_handed_to_another_agent_with_the_talk_so_far(hold: Any) -> None:
    other = CallBrief(call_id="c1", agent=AgentConfig(agent_id="agent_b", name="B"))
    async with hold(
        heard=("My name is Ada.", "A table, please.", "For two."),
        answers={"A table, please.": Call("hand_over", {"target": "Bookings"})},
        engine={"builtin_functions": ["hand_over"]},
        transfer_targets=[{"name": "Bookings", "kind": "agent", "value": "agent_b"}],
        handovers={"agent_b": other},
    ) as held:
        await held.greeted()
        held.say(words("My name is Ada."))
        await held.until(lambda: len(held.of(UtteranceHeard)) >= 3)
        first = held.line.session.current_agent
        held.say(words("A table, please."))
        await held.until(lambda: held.line.session.current_agent is not first)
        await held.until(lambda: len(held.of(UtteranceHeard)) >= 5)  # it goes on in words of its own
        held.say(words("For two."))
        await held.until(
            lambda: any(e.utterance.text == "You said: For two." for e in held.of(UtteranceHeard))
        )
        held.line.leave()
    said = [item.text_content for item in held.llm.asked[-1].items if item.type == "message"]
    assert "My name is Ada." in said
    assert held.of(FunctionCalled)[0].name == "hand_over"


async def test_a_call_does_what_it_is_told_from_outside_and_says_what_it_cannot(
    tmp_path: Path, hold: Any
) -> None:
    async with steering(tmp_path) as give, hold(heard=("Anything else?",)) as held:
        await held.greeted()
        assert (await give(Say(text="Your table is ready."))).outcome == "done"
        await held.until(lambda: len(held.of(UtteranceHeard)) == 2)
        assert (await give(AddContext(text="He is a member."))).outcome == "done"
        held.say(words("Anything else?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 4)
        known = [item.text_content for item in held.llm.asked[-1].items if item.type == "message"]
        assert "He is a member." in known
        refused = await give(Transfer(target="Nobody"))
        assert (refused.outcome, refused.message) == (
            "refused",
            "The agent has no transfer target of this name",
        )
        held.line.leave()
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said[1] == "Your table is ready."
    assert [event.action.action for event in held.of(Steered)] == ["say", "context"]


async def test_on_hold_nobody_is_heard_until_the_call_goes_on(tmp_path: Path, hold: Any) -> None:
    async with steering(tmp_path) as give, hold(heard=("Hello?", "And now?")) as held:
        await held.greeted()
        assert (await give(Hold())).outcome == "done"
        assert {"kind": "hold", "is_on": True} in held.line.told
        assert (await give(Say(text="Not now."))).outcome == "refused"
        held.say(words("Are you there?"))
        await held.line.input.silent.wait()
        assert (await give(Hold(is_on=False))).outcome == "done"
        assert (await give(Mute(side="caller"))).outcome == "done"
        assert (await give(Say(text="I am back."))).outcome == "done"
        await held.until(lambda: len(held.of(UtteranceHeard)) == 2)
        assert (await give(Mute(side="caller", is_on=False))).outcome == "done"
        held.say(words("And now?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 4)
        held.line.leave()
    said = [(event.utterance.role, event.utterance.text) for event in held.of(UtteranceHeard)]
    assert said[:3] == [("agent", GREETING), ("agent", "I am back."), ("user", "Hello?")]


async def test_a_call_that_goes_on_says_so_answers_and_knows_what_it_was_told(hold: Any) -> None:
    at = datetime.now(UTC)
    asked = Utterance(utterance_id="u", role="user", text="When do you open?", started_at=at, ended_at=at)
    before = {"attempt": 2, "transcript": (asked,), "steered": (AddContext(text="Open at nine."),)}
    async with hold(answers={"When do you open?": "At nine."}, before=before) as held:
        await held.until(lambda: len(held.of(UtteranceHeard)) == 2)
        held.line.leave()
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said == ["Sorry, I was cut off for a moment.", "At nine."]
    assert held.events()[0].sequence == 1_000_000


async def test_a_call_that_is_handed_over_leaves_the_line_to_the_others(tmp_path: Path, hold: Any) -> None:
    async with hold() as held:
        liveness = Liveness(
            tmp_path / "run" / "calls.sock", on_change=lambda: None, on_lost=lambda here: None
        )
        async with liveness.listening():
            await held.greeted()
            await held.until(lambda: liveness.calls)
            liveness.hang_up(HangUp(call_id="c1", reason="error: the worker is stopping", hands_over=True))
            await held.task
    last = held.events()[-1]
    assert isinstance(last, CallLost)
    assert last.is_handed_over
    assert held.line.was_left_to_others


async def test_an_agent_follows_a_caller_into_another_language_and_back(
    hold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    german, english = "Sprechen Sie bitte Deutsch mit mir?", "Let us go back to English."
    voices: dict[str, ToneTTS] = {}
    monkeypatch.setattr(
        FakeParts, "tts", lambda parts, language, speed: voices.setdefault(language, ToneTTS())
    )
    # An engine that speaks both: the scripted one would be asked for another of itself.
    monkeypatch.setattr(Chooser, "mind", lambda chooser: (*chooser.local.llm("en-US"), False))
    answers = {german: "Um 14:00 Uhr.", english: "At 14:00."}
    async with hold(heard=(german, english), answers=answers, hearing={"languages": ["de-DE"]}) as held:
        await held.greeted()
        held.stt.languages[german] = "de"
        held.say(words("Could you speak German with me?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.say(words("Let us go back to English."))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 5)
        held.line.leave()
    assert voices["en-US"].said == [GREETING, "At 2 PM."]
    assert voices["de-DE"].said == ["Um 14 Uhr."]
    told = [
        any("de-DE" in (item.text_content or "") for item in asked.items if item.type == "message")
        for asked in held.llm.asked
    ]
    assert (told[0], told[-1]) == (True, False)
    codes = [event.code for event in held.of(WarningRaised)]
    assert codes.count("language_switched") == 2


async def test_a_call_that_has_cost_enough_ends_with_a_goodbye(hold: Any) -> None:
    a_cent_a_letter = ModelPrice(
        llm_input_per_million=0, llm_output_per_million=0, stt_per_minute=0, tts_per_million_characters=10_000
    )
    prices = Prices(as_of="today", models={"unknown/unknown": a_cent_a_letter})
    limits = {"cost_usd": 0.2}
    async with hold(limits=limits, goodbye={"message": "Bye."}, before={"prices": prices}) as held:
        pass
    assert held.events()[-1].reason == "cost_limit"
    assert [event.code for event in held.of(WarningRaised)][-1] == "cost_limit"
    assert held.of(UtteranceHeard)[-1].utterance.text == "Bye."


async def test_an_agent_that_has_muted_itself_listens_and_is_heard_when_it_says_so(
    tmp_path: Path, hold: Any
) -> None:
    heard = ("Be quiet please.", "She talks to him.", "Are you still there?")
    answers: dict[str, str | Call] = {
        "Be quiet please.": Call("mute"),
        "She talks to him.": "Nobody hears this.",
        "Are you still there?": Call("unmute"),
    }
    engine = {"builtin_functions": ["mute"]}
    async with (
        steering(tmp_path) as give,
        hold(heard=heard, answers=answers, engine=engine) as held,
    ):

        async def says(text: str, count: int) -> None:
            held.say(words(text))
            await held.until(lambda: len(held.of(UtteranceHeard)) == count)

        await held.greeted()
        await says(heard[0], 2)
        await held.until(lambda: held.of(Steered))
        await says(heard[1], 3)
        assert (await give(Say(text="Not now."))).outcome == "refused"
        assert (await give(Mute())).outcome == "done", "the owner may silence it as well"
        await says(heard[2], 4)
        await held.until(lambda: len(held.of(FunctionCalled)) == 2)
        assert "muted from outside" in held.of(FunctionCalled)[1].error
        assert (await give(Mute(is_on=False))).outcome == "done"
        held.line.leave()
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said == [GREETING, *heard[:3]]
    assert [(one.action.is_on, one.action.by) for one in held.of(Steered)][:2] == [
        (True, "agent"),
        (True, "order"),
    ]


async def test_a_mute_of_its_own_ends_by_itself_and_by_the_agents_word(tmp_path: Path, hold: Any) -> None:
    heard = ("Quiet for a second.", "Be quiet please.", "Unmute.")
    answers: dict[str, str | Call] = {
        heard[0]: Call("mute", {"seconds": 1}),
        heard[1]: Call("mute"),
        heard[2]: Call("unmute"),
    }
    async with (
        steering(tmp_path) as give,
        hold(heard=heard, answers=answers, engine={"builtin_functions": ["mute"]}) as held,
    ):
        await held.greeted()
        held.say(words(heard[0]))
        await held.until(lambda: [one.action.by for one in held.of(Steered)] == ["agent", "limit"])
        assert (await give(Say(text="I am back."))).outcome == "done"
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.say(words(heard[1]))
        await held.until(lambda: len(held.of(FunctionCalled)) == 2)
        held.say(words(heard[2]))
        await held.until(lambda: held.of(UtteranceHeard)[-1].utterance.role == "agent")
        held.line.leave()
    said = [event.utterance.text for event in held.of(UtteranceHeard)]
    assert said == [GREETING, heard[0], "I am back.", *heard[1:], "Done: You are heard again."]
