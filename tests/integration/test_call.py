"""A call as the worker holds it, on a line without a network: the clock is real, the providers instant."""

import asyncio
import contextlib
import functools
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from pipelines.agent_config import AgentConfig, EngineConfig, ReminderConfig
from pipelines.choosing import Chooser
from pipelines.contract.actions import Action, AddContext, Hold, Mute, Say, Transfer
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import (
    EVENT,
    CallEnded,
    CallEvent,
    CallLost,
    CallStarted,
    FunctionCalled,
    Steered,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.contract.websocket import HangUp, Obeyed, Order
from pipelines.costs import ModelPrice, Prices
from pipelines.last_words import WORDS
from pipelines.noise import Quieted
from pipelines.phrases import phrase
from pipelines.tools.developer import Functions, load
from pipelines.transcript import Utterance
from tests.support import sounds
from tests.support.desk import DeskLine
from tests.support.fake_providers import Call, FakeParts, ListSTT, TableLLM, ToneTTS
from tests.support.provider_server import KEY, provider_server
from tests.support.speech import spoken
from tests.support.stack import free_port
from tests.support.wire.faults import Fault
from worker import call
from worker.liveness import Liveness
from worker.settings import WorkerSettings
from worker.spool import AlreadySpooled, Spool
from worker.watchdog import Limits, playout, tools, turns

NO_FUNCTIONS = Functions()
GREETING = "Hello, how may I help?"


@dataclass
class Held:
    """A call under way. `line` is there once the brief has come."""

    home: Path
    stt: ListSTT
    llm: TableLLM
    tts: ToneTTS
    briefs: dict[str, Any] = field(default_factory=dict)
    line: DeskLine = field(init=False)
    identity: str | None = None
    attempt: int = 1
    task: "asyncio.Task[None]" = field(init=False)

    def open_line(self, identity: str) -> DeskLine:
        self.identity, self.line = identity, DeskLine()
        return self.line

    def events(self) -> list[CallEvent]:
        path = self.home / "spool" / f"c1.{self.attempt}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [EVENT.validate_json(line) for line in lines]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events() if isinstance(event, kind)]

    async def until(self, true: Callable[[], object], timeout: float = 15) -> None:
        async with asyncio.timeout(timeout):
            while not true():
                if self.task.done():
                    self.task.result()
                    break
                await asyncio.sleep(0.02)

    async def greeted(self) -> None:
        await self.until(lambda: self.of(UtteranceHeard))

    def say(self, pcm: np.ndarray) -> None:
        self.line.input.say(pcm)


def words(text: str) -> np.ndarray:
    """16 kHz."""
    return spoken(text)[::3]


@contextlib.asynccontextmanager
async def steering(home: Path) -> AsyncIterator[Callable[[Action], Any]]:
    """The supervisor's end of the calls' socket; gives the call an order and waits for its answer."""
    answers: asyncio.Queue[Obeyed] = asyncio.Queue()
    (home / "run").mkdir(exist_ok=True)
    path = home / "run" / "calls.sock"
    liveness = Liveness(path, on_change=lambda: None, on_lost=lambda here: None, on_obeyed=answers.put_nowait)

    async def give(action: Action) -> Obeyed:
        assert liveness.order(Order(order_id="order", call_id="c1", action=action))
        return await asyncio.wait_for(answers.get(), 10)

    async with liveness.listening():
        yield give


@pytest.fixture
def hold(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Held]]:
    return functools.partial(holding, tmp_path)


@contextlib.asynccontextmanager
async def holding(
    home: Path,
    *,
    heard: tuple[str, ...] = (),
    answers: dict[str, str | Call] | None = None,
    functions: Functions = NO_FUNCTIONS,
    status: int = 200,
    before: dict[str, Any] | None = None,
    handovers: dict[str, CallBrief] | None = None,
    environment: dict[str, str] | None = None,
    **changes: Any,
) -> AsyncIterator[Held]:
    held = Held(home, ListSTT(*heard), TableLLM(answers), ToneTTS())
    agent = {"agent_id": "a", "name": "A", "begin_message": GREETING, "begin_message_mode": "static"}
    brief = CallBrief(
        call_id="c1", participant_identity="caller", agent=AgentConfig.model_validate(agent | changes)
    ).model_copy(update=before or {})
    held.attempt = brief.attempt
    port = free_port()

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=brief.model_dump_json(), status=status)

    async def hand_over(request: web.Request) -> web.Response:
        return web.json_response(text=(handovers or {})[request.match_info["id"]].model_dump_json())

    app = web.Application()
    app.router.add_post("/internal/calls/c1/brief", answer)
    app.router.add_post("/internal/calls/c1/agents/{id}/brief", hand_over)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    settings = WorkerSettings.load(
        {
            "CALL2ME_HOME": str(home),
            "CALL2ME_API_URL": f"http://127.0.0.1:{port}",
            "CALL2ME_INTERNAL_KEY": "internal",
            "LIVEKIT_API_KEY": "key",
            "LIVEKIT_API_SECRET": "secret",
            "CALL2ME_LOCAL_MODELS": "off",
            **(environment or {}),
        }
    )
    parts = FakeParts(ears=lambda: held.stt, mind=lambda: held.llm, voice=lambda: held.tts)
    host = call.Host(settings, functions, lambda brief, models: None, parts)  # type: ignore[arg-type]
    held.task = asyncio.create_task(call.hold(host, "c1", "job", held.open_line))
    try:
        yield held
        await asyncio.wait_for(held.task, 20)
    finally:
        held.task.cancel()
        await asyncio.gather(held.task, return_exceptions=True)
        await runner.cleanup()


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


async def test_a_caller_is_heard_through_the_noise_suppression(hold: Any) -> None:
    async with hold(heard=("Are you there?",), hearing={"noise_suppression": True}) as held:
        await held.greeted()
        assert isinstance(held.line.session.input.audio, Quieted)
        held.say(words("Are you there?"))
        await held.until(lambda: len(held.of(UtteranceHeard)) == 3)
        held.line.leave()
    assert held.of(UtteranceHeard)[-1].utterance.text == "You said: Are you there?"
    assert "noise_suppression_unavailable" not in {event.code for event in held.of(WarningRaised)}


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
