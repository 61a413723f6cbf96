"""Whispering to an agent, and what becomes of a call whose supervisor is gone: real rooms and real sound."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio
from livekit import rtc

from pipelines.contract.actions import Action, GiveBack, Listen, TakeOver, Whisper, WhisperAloud
from pipelines.contract.events import Steered, UtteranceHeard
from pipelines.contract.websocket import Obeyed, Order
from tests.integration.test_phone_call import GREETING, Held, calling
from tests.support.fake_providers import SECONDS_A_LETTER
from tests.support.listener import ANN, ROOM, Listener, listening, token_for
from tests.support.rehearsal import livekit
from tests.support.speech import spoken, words
from worker.lines import listening as rooms
from worker.lines import listening_room
from worker.liveness import Liveness

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="c2m-") as home:
        async with livekit(Path(home)) as running:
            yield running


@contextlib.asynccontextmanager
async def supervised(home: Path, url: str, **talk: Any) -> AsyncIterator["Desk"]:
    """A call, and whoever gives it orders."""
    (home / "run").mkdir()
    obeyed: list[Obeyed] = []
    liveness = Liveness(
        home / "run" / "calls.sock",
        on_change=lambda: None,
        on_lost=lambda call: None,
        on_obeyed=obeyed.append,
    )
    async with liveness.listening(), calling(home, livekit_url=url, **talk) as held:
        desk = Desk(held, liveness, obeyed, url)
        await held.until(held.events if "told" in talk else held.said)
        yield desk


class Desk:
    """Orders to the call, and who sits in its room."""

    def __init__(self, held: Held, liveness: Liveness, obeyed: list[Obeyed], url: str) -> None:
        self.held, self._liveness, self._obeyed, self._url = held, liveness, obeyed, url

    async def order(self, action: Action) -> str:
        """Why it was refused; empty when it was done."""
        id_ = f"o{len(self._obeyed)}"
        assert self._liveness.order(Order(order_id=id_, call_id="c1", action=action))
        await self.held.until(lambda: any(one.order_id == id_ for one in self._obeyed))
        told = self._obeyed[-1]
        return "" if told.outcome == "done" else told.message

    @contextlib.asynccontextmanager
    async def ann(self) -> AsyncIterator[Listener]:
        """She listens, with her microphone open."""
        assert await self.order(Listen(room_name=ROOM, identity=ANN, name="Ann")) == ""
        async with listening(self._url, token_for(ROOM, ANN)) as ann:
            await ann.open_microphone()
            yield ann

    def steered(self) -> list[Action]:
        return [event.action for event in self.held.of(Steered)]


async def test_a_whisper_reaches_the_agent_alone(url: str, tmp_path: Path) -> None:
    heard = ("He is a member.", "What are your hours?")
    async with supervised(tmp_path, url, heard=heard, answers={"What are your hours?": "Nine."}) as desk:
        assert await desk.order(Whisper(text="Offer a discount.", name="Ann")) == ""
        async with desk.ann() as ann:
            assert await desk.order(WhisperAloud(identity=ANN, name="Ann")) == ""
            spoke_until = desk.held.phone.spoke_until
            ann.say(spoken("He is a member, be kind to him."))
            await desk.held.until(lambda: Whisper(text="He is a member.", name="Ann") in desk.steered())
            assert len(desk.held.said()) == 1, "whispers are no turns"
            assert desk.held.phone.spoke_until == spoke_until
            assert await desk.order(WhisperAloud(identity=ANN, is_on=False)) == ""
            desk.held.phone.say(words("What are your opening hours?"))
            await desk.held.until(lambda: len(desk.held.said()) == 3)
        known = [item.text_content or "" for item in desk.held.llm.asked[-1].items if item.type == "message"]
        assert any("Offer a discount." in text for text in known)
        assert any("He is a member." in text for text in known)
        desk.held.wire.bye()
    assert [role for role, _ in desk.held.said()] == ["agent", "user", "agent"]


async def test_what_was_said_in_a_take_over_is_written_down_and_known_to_the_agent(
    url: str, tmp_path: Path
) -> None:
    heard = ("Are you a human?", "I give you ten percent.", "What did we agree on?")
    async with supervised(tmp_path, url, heard=heard, answers={heard[2]: "Ten percent."}) as desk:
        async with desk.ann() as ann:
            assert await desk.order(TakeOver(identity=ANN, name="Ann")) == ""
            desk.held.phone.say(words("Am I talking with a human now?"))
            await desk.held.until(lambda: ("user", heard[0]) in desk.held.said())
            ann.say(spoken("I give you a discount of ten percent on it."))
            await desk.held.until(lambda: ("supervisor", heard[1]) in desk.held.said())
            assert desk.held.llm.asked == []
            assert await desk.order(GiveBack()) == ""
        await desk.held.until(lambda: len(desk.held.said()) == 4)
        desk.held.phone.say(words("What did we agree on just now?"))
        await desk.held.until(lambda: desk.held.said()[-1] == ("agent", "Ten percent."))
        known = [
            (item.role, item.text_content) for item in desk.held.llm.asked[-1].items if item.type == "message"
        ]
        assert known.index(("user", heard[0])) + 1 == known.index(("assistant", heard[1]))
        assert any("what stands there as yours was Ann's" in (text or "") for _, text in known)
        told = [event.utterance for event in desk.held.of(UtteranceHeard)]
        assert all(timedelta(0) < one.ended_at - one.started_at < timedelta(seconds=10) for one in told)
        desk.held.wire.bye()


async def test_a_call_is_given_back_at_once_whatever_is_understood_late(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_room, "UNHEARD_SECONDS", 0.4)
    monkeypatch.setattr(listening_room, "BACK_SECONDS", 0.8)
    monkeypatch.setattr(listening_room, "packets", _unknown)
    async with supervised(tmp_path, url, heard=("Nine to five.", "So?"), answers={"So?": "Nine."}) as desk:
        ears = desk.held.stt
        ears.is_ready.clear()
        async with desk.ann() as ann:
            assert await desk.order(TakeOver(identity=ANN, name="Ann")) == ""
            ann.say(spoken("We are here from nine to five."))
            await desk.held.until(lambda: ears.heard_seconds)
            await asyncio.sleep(1.5)
            assert desk.held.line.listeners.has_talker, "where packets cannot be counted, none is missed"
            assert await desk.order(GiveBack()) == ""
            await desk.held.until(lambda: desk.steered()[-1] == GiveBack())
            assert await desk.order(TakeOver(identity=ANN, name="Ann")) == ""
            ears.is_ready.set()
            await desk.held.until(lambda: ("supervisor", "Nine to five.") in desk.held.said())
            assert await desk.order(GiveBack()) == ""
        await desk.held.until(lambda: desk.held.said()[-1][0] == "agent" and len(desk.held.said()) > 2)
        desk.held.phone.say(words("So when are you open?"))
        await desk.held.until(lambda: desk.held.said()[-1] == ("agent", "Nine."))
        known = [item.text_content for item in desk.held.llm.asked[-1].items if item.type == "message"]
        assert known.count("Nine to five.") == 1
        assert sum("You have the call again" in (text or "") for text in known) == 1
        desk.held.wire.bye()


async def _unknown(track: rtc.Track) -> None:
    """Statistics never come."""


async def test_a_call_may_end_with_whoever_took_it_over(url: str, tmp_path: Path) -> None:
    hers, theirs = spoken("Hello, this is Ann, how may I help you today?"), words("I have a question.")
    heard = ("I have a question.", "Hello, this is Ann.")
    async with supervised(tmp_path, url, heard=heard, enable_recording=True) as desk:
        phone = desk.held.phone
        async with desk.ann() as ann:
            assert await desk.order(TakeOver(identity=ANN, name="Ann", when_left="end")) == ""
            assert (
                await desk.order(TakeOver(identity="somebody", name="Bob")) == "Somebody else has this call"
            )
            began = time.time()
            ann.say(hers)
            phone.say(theirs)
            await desk.held.until(lambda: np.sum(np.abs(phone.sound(began)) > 1000) > 2000)
            await desk.held.until(lambda: len(desk.held.said()) == 3)
    last = desk.held.events()[-1]
    assert (last.kind, last.status, last.reason) == ("call_ended", "completed", "supervisor_left")
    assert desk.held.wire.is_hung_up
    # Which of them was understood first decides whose words are whose: the recogniser here has a list.
    assert [role for role, _ in sorted(desk.held.said())] == ["agent", "supervisor", "user"]
    with av.open(str(tmp_path / "spool" / "c1.1.ogg")) as recording:
        caller, agent = np.concatenate([frame.to_ndarray() for frame in recording.decode()], axis=1)
    greeted = round(len(GREETING) * SECONDS_A_LETTER * 48_000)
    assert np.sum(np.abs(caller) > 0.03) > 2000, "what the caller said to her"
    began_at = int(np.argmax(np.abs(agent) > 0.03))
    assert np.sum(np.abs(agent[began_at + greeted + 4800 :]) > 0.03) > 2000, "what she said"


async def test_a_room_is_left_when_nobody_listens(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_room, "EMPTY_SECONDS", 0.5)
    async with supervised(tmp_path, url) as desk:
        for _ in range(2):
            async with desk.ann():
                await asyncio.sleep(1)
                room = desk.held.line.listeners._listening
                assert room is not None
                assert not room.is_over
            await desk.held.until(lambda room=room: room.is_over, 5)
        monkeypatch.setattr(rooms, "MOST_ROOMS", 0)
        refused = await desk.order(Listen(room_name=ROOM, identity=ANN))
        assert refused == "Too many calls are being listened to here at once"
        desk.held.wire.bye()
    assert desk.held.events()[-1].reason == "user_hangup"


async def test_without_rooms_the_call_goes_on(tmp_path: Path, unused_tcp_port: int) -> None:
    async with supervised(tmp_path, f"ws://127.0.0.1:{unused_tcp_port}") as desk:
        refused = await desk.order(Listen(room_name=ROOM, identity=ANN))
        assert refused == "livekit-server does not let us into a room"
        assert await desk.order(GiveBack()) == "The agent has this call"
        desk.held.wire.bye()
    assert desk.held.events()[-1].reason == "user_hangup"


@pytest.mark.parametrize("is_there", [True, False])
async def test_another_process_leaves_a_call_with_whoever_has_it(
    url: str, tmp_path: Path, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_room, "MICROPHONE_SECONDS", 1.0)
    before = [
        {"action": "listen", "room_name": ROOM, "identity": ANN, "name": "Ann"},
        {"action": "take_over", "identity": ANN, "name": "Ann"},
    ]
    async with contextlib.AsyncExitStack() as stack:
        if is_there:
            ann = await stack.enter_async_context(listening(url, token_for(ROOM, ANN)))
            await ann.open_microphone()
        desk = await stack.enter_async_context(
            supervised(tmp_path, url, told={"steered": before, "attempt": 2, "started_at": datetime.now(UTC)})
        )
        if is_there:
            await desk.held.until(lambda: desk.held.line.listeners.has_talker)
            assert desk.steered() == []
        else:
            await desk.held.until(desk.steered)
            assert desk.steered() == [GiveBack(identity=ANN, name="Ann", has_left=True)]
        desk.held.wire.bye()
