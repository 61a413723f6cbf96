"""A whole call on a phone line: real RTP over loopback, the session of the product, instant providers."""

import asyncio
import contextlib
import functools
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiohttp import web
from livekit.agents import get_job_context

from pipelines.agent_config import AgentConfig, TransferTarget
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import (
    EVENT,
    CallEnded,
    CallEvent,
    CallStarted,
    FunctionCalled,
    MediaMeasured,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.tools.developer import Functions
from tests.support.fake_providers import Call, FakeParts, ListSTT, TableLLM, ToneTTS
from tests.support.recordings import RATE, decoded
from tests.support.rehearsal import KEY, SECRET
from tests.support.rtp import Sender, key_packets
from tests.support.speech import words
from tests.support.stack import free_port
from tests.support.telephone import Telephone, bound, telephone
from worker import call, roomless
from worker.lines import phone as phones
from worker.lines.line import LineClosed
from worker.lines.listening import ListeningRooms
from worker.lines.phone import PhoneLine
from worker.lines.rtp.media import Media
from worker.lines.rtp.sockets import Sockets
from worker.settings import WorkerSettings

GREETING = "Hello, how may I help?"


class Wire:
    """SIP's part of the call."""

    def __init__(self) -> None:
        self.can_transfer = False
        self.is_hung_up = False
        self._over: asyncio.Future[LineClosed] = asyncio.get_running_loop().create_future()

    async def ended(self) -> LineClosed:
        return await asyncio.shield(self._over)

    def bye(self) -> None:
        self._over.set_result(LineClosed("user_hangup"))

    async def transfer(self, target: TransferTarget, seconds: float) -> bool:
        raise NotImplementedError

    async def consult(self, target: TransferTarget) -> PhoneLine:
        raise NotImplementedError

    async def put_through(self, seconds: float) -> None:
        raise NotImplementedError

    async def hang_up(self) -> None:
        self.is_hung_up = True


@dataclass
class Held:
    home: Path
    stt: ListSTT
    llm: TableLLM
    tts: ToneTTS
    wire: Wire
    phone: Telephone = field(init=False)
    line: PhoneLine = field(init=False)
    job_ids: list[str] = field(default_factory=list)
    task: "asyncio.Task[None]" = field(init=False)

    def events(self) -> list[CallEvent]:
        path = next((self.home / "spool").glob("c1.*.jsonl"), self.home)
        return (
            [EVENT.validate_json(line) for line in path.read_bytes().splitlines()] if path.is_file() else []
        )

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events() if isinstance(event, kind)]

    def said(self) -> list[tuple[str, str]]:
        return [(event.utterance.role, event.utterance.text) for event in self.of(UtteranceHeard)]

    async def until(self, true: Callable[[], object], timeout: float = 15) -> None:
        async with asyncio.timeout(timeout):
            while not true():
                assert not self.task.done(), self.task.exception()
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def calling(
    home: Path,
    *,
    heard: tuple[str, ...] = (),
    answers: dict[str, str | Call] | None = None,
    livekit_url: str = "",
    told: dict[str, Any] | None = None,
    know: Callable[[CallBrief, Any], Any] = lambda brief, models: None,
    **changes: Any,
) -> AsyncIterator[Held]:
    """A call in this process. With a livekit-server it can be listened to; `told` is more of its brief."""
    held = Held(home, ListSTT(*heard), TableLLM(answers), ToneTTS(), Wire())
    agent = {"agent_id": "a", "name": "A", "begin_message": GREETING, "begin_message_mode": "static"}
    brief = CallBrief(call_id="c1", agent=AgentConfig.model_validate(agent | changes), **(told or {}))

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=brief.model_dump_json())

    app = web.Application()
    app.router.add_post("/internal/calls/c1/brief", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    settings = WorkerSettings.load(
        {
            "CALL2ME_HOME": str(home),
            "CALL2ME_API_URL": f"http://127.0.0.1:{port}",
            "CALL2ME_INTERNAL_KEY": "internal",
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "CALL2ME_LOCAL_MODELS": "off",
            **({"LIVEKIT_URL": livekit_url} if livekit_url else {}),
        }
    )
    rooms = ListeningRooms(settings) if livekit_url else None
    parts = FakeParts(ears=lambda: held.stt, mind=lambda: held.llm, voice=lambda: held.tts)
    host = call.Host(settings, Functions(), know, parts)  # type: ignore[arg-type]
    ours, theirs = bound(), bound()
    media = Media("PCMU", 0, theirs.getsockname(), digits_payload_type=101)

    def open_line(identity: str) -> PhoneLine:
        held.job_ids.append(get_job_context().job.id)
        held.line = PhoneLine(held.wire, media, Sockets(ours), rooms=rooms)
        return held.line

    async with telephone(theirs, ours.getsockname()) as held.phone:
        held.task = roomless.begin(call.hold(host, "c1", "job-1", open_line), "job-1")
        try:
            yield held
            await asyncio.wait_for(held.task, 20)
        finally:
            held.task.cancel()
            await asyncio.gather(held.task, return_exceptions=True)
            await runner.cleanup()


@pytest.fixture
def ring(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Held]]:
    return functools.partial(calling, tmp_path)


async def test_a_phone_asks_and_hears_the_answer(ring: Any, tmp_path: Path) -> None:
    answers = {"What are your hours?": "Nine to five."}
    async with ring(heard=("What are your hours?",), answers=answers, enable_recording=True) as held:
        await held.until(lambda: len(held.said()) == 1)
        asked_at = time.time()
        held.phone.say(words("What are your opening hours?"))
        await held.until(lambda: not held.phone.is_talking)
        await held.until(lambda: held.phone.first_sound(held.phone.spoke_until))
        await held.until(lambda: len(held.said()) == 3)
        held.wire.bye()
    assert held.said() == [("agent", GREETING), ("user", "What are your hours?"), ("agent", "Nine to five.")]
    assert held.job_ids == ["job-1"]
    first, last = held.events()[0], held.events()[-1]
    assert first.kind == "call_started"
    assert (last.kind, last.status, last.reason) == ("call_ended", "completed", "user_hangup")
    (measured,) = held.of(MediaMeasured)
    assert measured.quality.packets_lost == 0
    assert measured.quality.mos > 4
    began = held.phone.first_sound(0.0)
    assert began is not None
    assert began < asked_at
    sound = held.phone.sound(began)
    spectrum = np.abs(np.fft.rfft(sound[:8000].astype(float)))
    assert abs(int(spectrum.argmax()) - 500) <= 2, "the agent's voice is a tone of 500 Hz"
    assert held.wire.is_hung_up
    with av.open(str(tmp_path / "spool" / "c1.1.ogg")) as recording:
        channels = np.concatenate([frame.to_ndarray() for frame in recording.decode()], axis=1)
    assert np.abs(channels).max(axis=1).min() > 0.05 * np.abs(channels).max(), "both sides are in it"
    assert np.abs(channels[0] - channels[1]).max() > 0.05, "each on its own"


async def test_a_call_is_over_when_they_hang_up_and_not_once_their_last_words_are_understood(
    ring: Any, tmp_path: Path
) -> None:
    async with ring(heard=("What are your hours?",), enable_recording=True) as held:
        await held.until(lambda: len(held.said()) == 1)
        held.stt.is_ready.clear()
        held.phone.say(words("What are your opening hours?"))
        await held.until(lambda: not held.phone.is_talking)
        await asyncio.sleep(0.3)
        left_at = time.time()
        held.wire.bye()
        await asyncio.sleep(1.5)
        held.stt.is_ready.set()
    assert held.said()[-1] == ("user", "What are your hours?")
    (ended,) = held.of(CallEnded)
    assert abs(ended.at.timestamp() - left_at) < 0.5, "nobody pays for what is waited for afterwards"
    (began,) = held.of(CallStarted)
    recorded = decoded(tmp_path / "spool" / "c1.1.ogg").shape[1] / RATE
    assert recorded - (ended.at - began.at).total_seconds() < 0.8, "and nothing is recorded of it"


async def test_sound_leaves_on_a_steady_clock(ring: Any) -> None:
    async with ring() as held:
        await held.until(lambda: len(held.phone.heard) > 200)
        held.wire.bye()
    packets = held.phone.heard[10:200]
    numbers = [one.sequence_number for _, one in packets]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))
    spans = [((one.timestamp - packets[0][1].timestamp) & 0xFFFFFFFF) / 8000 for _, one in packets]
    drift = [at - packets[0][0] - span for (at, _), span in zip(packets, spans, strict=True)]
    assert max(drift) - min(drift) < 0.1
    assert abs(np.median(drift[-50:]) - np.median(drift[:50])) < 0.02


async def test_a_barge_in_is_silence_at_the_phone_and_only_what_was_heard_is_kept(ring: Any) -> None:
    story = (
        "Once upon a time there was a clinic that had many rooms and many people in all of them every day."
    )
    async with ring(heard=("Stop please.",), answers={"Stop please.": "Fine."}, begin_message=story) as held:
        await held.until(lambda: held.phone.first_sound(0.0))
        await asyncio.sleep(2.0)
        spoke_at = time.time()
        held.phone.say(words("Please stop talking right now."))
        await held.until(lambda: len(held.said()) >= 2)
        await held.until(lambda: len(held.said()) == 3)
        held.wire.bye()
    role, text = held.said()[0]
    assert role == "agent"
    assert 20 < len(text) < len(story) - 20
    assert story.startswith(text.rstrip("…. -"))
    began = held.phone.first_sound(0.0)
    assert began is not None
    stopped = next(
        at
        for at, _ in held.phone.heard
        if at > spoke_at and (later := held.phone.first_sound(at)) is not None and later - at > 0.2
    )
    assert stopped - spoke_at < 1.2


async def test_keys_are_collected(ring: Any) -> None:
    answers: dict[str, str | Call] = {"My PIN.": Call("collect_digits", {"count": 4})}
    async with ring(
        heard=("My PIN.",), answers=answers, engine={"builtin_functions": ["collect_digits"]}
    ) as held:
        await held.until(lambda: len(held.said()) == 1)
        held.phone.say(words("I would like to type my PIN."))
        await held.until(lambda: len(held.said()) >= 2)
        await asyncio.sleep(0.3)
        keys = Sender(ssrc=held.phone.sender.ssrc, sequence=held.phone.sender.sequence, timestamp=70_000)
        for code in (1, 9, 7, 3):
            held.phone.press(key_packets(keys, code))
        await held.until(lambda: held.of(FunctionCalled))
        held.wire.bye()
    (collected,) = held.of(FunctionCalled)
    assert collected.result == "The person typed 1 9 7 3."


async def test_a_phone_that_falls_silent_for_good_is_noticed(
    ring: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phones, "NO_MEDIA_SECONDS", 2.0)
    async with ring() as held:
        await held.until(lambda: len(held.said()) == 1)
        held.phone.is_sending = False
        await held.until(lambda: held.of(CallEnded))
    (ended,) = held.of(CallEnded)
    assert (ended.status, ended.reason) == ("completed", "line_lost")


async def test_one_way_audio_stands_in_the_record(ring: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "UNHEARD_SECONDS", 1.0)
    async with ring() as held:
        held.phone.is_sending = False
        await held.until(lambda: "one_way_audio" in [warned.code for warned in held.of(WarningRaised)])
        held.wire.bye()
