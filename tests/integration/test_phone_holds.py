"""Who waits on a telephone hears music and is not heard; over real SIP and RTP, whatever the carrier says."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipelines.contract.actions import Hold, Say
from pipelines.contract.events import Steered
from tests.support.rtp import Sender, key_packets
from tests.support.speech import words
from tests.support.telephony import Caller, Stage, calling, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

TALK: dict[str, Any] = {
    "answers": {"What are your hours?": "Nine to five.", "My PIN.": {"name": "collect_digits"}},
    "engine": {"builtin_functions": ["collect_digits"]},
}


@dataclass
class Carrier:
    """Answers re-INVITEs: with these codes first, then as asked."""

    refuses: list[int] = field(default_factory=list)
    asked: list[sdp.Described] = field(default_factory=list)
    port: int = 9

    def offered(self, offer: sip.Offer) -> None:
        self.asked.append(sdp.read(offer.body))
        if self.refuses:
            offer.refuse(self.refuses.pop(0))
        else:
            offer.accept(body=sdp.Ours(("127.0.0.1", self.port), 9).answer(self.asked[-1])[0])

    @property
    def directions(self) -> list[str]:
        return [one.direction for one in self.asked]


def is_music(sound: np.ndarray) -> bool:
    """It never falls silent, as words do, and the tones of its chords stand out of it."""
    seconds = sound[: len(sound) // 2000 * 2000].reshape(-1, 2000).astype(float)
    loudness = np.sqrt((seconds**2).mean(axis=1))
    spectrum = np.abs(np.fft.rfft(sound.astype(float) * np.hanning(len(sound))))
    hertz = np.fft.rfftfreq(len(sound), 1 / 8000)
    tones = [440 * 2 ** ((note - 69) / 12) for note in range(53, 85)]
    near = np.min(np.abs(hertz[:, None] - np.array(tones)[None, :]), axis=1) < 6
    share = (spectrum[near & (hertz > 150)] ** 2).sum() / (spectrum[hertz > 150] ** 2).sum()
    return bool(loudness[2:].min() > 300 and share > 0.8)


def holds(stage: Stage, call_id: str, attempt: int = 1) -> list[tuple[bool, str]]:
    """What the timeline says."""
    steered = [event.action for event in stage.events(call_id, attempt) if isinstance(event, Steered)]
    return [(action.is_on, action.by) for action in steered if isinstance(action, Hold)]


@contextlib.asynccontextmanager
async def on_the_phone(
    stage: Stage, engine: sip.Engine, carrier: Carrier
) -> AsyncIterator[tuple[Caller, str]]:
    """Somebody who was greeted, and the call's id."""
    async with calling(stage, engine, offered=carrier.offered) as caller:
        carrier.port, call_id = caller.phone.socket.getsockname()[1], f"c{len(stage.rang)}"
        await stage.until(lambda: len(stage.said(call_id)) == 1)
        await stage.until(lambda: caller.phone.last_sound() is not None)
        yield caller, call_id


async def answers(stage: Stage, caller: Caller, call_id: str, attempt: int = 1) -> None:
    """The agent hears, and is heard."""
    asked_at = time.time()
    caller.phone.say(words("What are your opening hours?"))
    await stage.until(lambda: ("agent", "Nine to five.") in stage.said(call_id, attempt), 20)
    assert caller.phone.first_sound(asked_at)


async def test_whoever_is_on_hold_hears_music_whatever_happens() -> None:
    async with staged(heard=("What are your hours?",) * 6, **TALK) as (stage, engine):
        await _its_process_dies(stage, engine)
        await _the_carrier_refuses(stage, engine)
        await _its_exchange_dies(stage, engine)
        await _a_glare_is_asked_again_and_the_limit_comes(stage, engine)
        await _the_carrier_knows_of_no_call(stage, engine)


async def test_what_comes_on_hold_is_heard_after_it() -> None:
    async with staged(heard=("My PIN.",), **TALK) as (stage, engine):
        await _a_function_goes_on_and_the_other_side_holds_too(stage, engine)
        await _a_hold_ends_the_call(stage, engine)


async def _the_carrier_knows_of_no_call(stage: Stage, engine: sip.Engine) -> None:
    carrier = Carrier(refuses=[481])
    async with on_the_phone(stage, engine, carrier) as (caller, call_id):
        await stage.order(call_id, Hold())
        events = await stage.until(lambda: (e := stage.events(call_id)) and e[-1].kind == "call_ended" and e)
        assert (events[-1].status, events[-1].reason) == ("completed", "line_lost")
        ended = await stage.until(lambda: stage.end_of(call_id))
        assert ended.sip_code == 481
        assert caller.phone.heard
    exchange = stage.processes["exchange"].pid
    await stage.until(lambda: stage.descriptors(exchange) == 1)
    assert not list((stage.home / "run" / "dialogs").iterdir())


async def _its_exchange_dies(stage: Stage, engine: sip.Engine) -> None:
    """Nobody notices: the music plays on, and the next exchange goes on where this one was."""
    carrier = Carrier()
    async with on_the_phone(stage, engine, carrier) as (caller, call_id):
        assert (await stage.order(call_id, Hold())).outcome == "done"
        held_at = time.time()
        stage.processes["exchange"].kill()
        await stage.processes["exchange"].wait()
        await stage.start("exchange")
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and not e.why_not, 60)
        await stage.until(lambda: call_id in stage.liveness.exchange.call_ids)  # type: ignore[union-attr]
        await asyncio.sleep(1.0)
        assert is_music(caller.phone.sound(held_at + 0.5))
        assert carrier.directions == ["sendonly"], "it is on hold already"
        assert (await stage.order(call_id, Hold(is_on=False))).outcome == "done"
        assert carrier.directions == ["sendonly", "sendrecv"]
        await answers(stage, caller, call_id)


async def _its_process_dies(stage: Stage, engine: sip.Engine) -> None:
    carrier = Carrier()
    async with on_the_phone(stage, engine, carrier) as (caller, call_id):
        assert (await stage.order(call_id, Hold())).outcome == "done"
        assert carrier.directions == ["sendonly"]
        assert (await stage.order(call_id, Say(text="Not now."))).outcome == "refused"
        caller.phone.say(words("What are your opening hours?"))  # a telephone that goes on sending
        held_at = time.time()
        await asyncio.sleep(3.0)
        assert is_music(caller.phone.sound(held_at + 0.5))
        assert len(stage.said(call_id)) == 1
        victim, ssrc = stage.shard_of(call_id), caller.phone.heard[-1][1].ssrc
        next(one for one in stage.processes.values() if one.pid == victim).kill()
        killed_at = time.time()
        await stage.until(lambda: stage.lost)
        events: list[Any] = stage.events(call_id)
        stage.take_up(
            call_id,
            2,
            transcript=[e.utterance.model_dump(mode="json") for e in events if e.kind == "utterance"],
            steered=[e.action.model_dump(mode="json") for e in events if e.kind == "steered"],
            started_at=datetime.now(UTC).isoformat(),
        )
        back_at = await stage.until(lambda: next((t for t, p in caller.phone.heard if p.ssrc != ssrc), None))
        assert back_at - killed_at < 1.5
        await stage.until(lambda: stage.events(call_id, 2))
        assert (await stage.order(call_id, Say(text="Not now."))).outcome == "refused"
        await asyncio.sleep(2.5)
        assert is_music(caller.phone.sound(back_at + 0.8)), "and no word of what has happened"
        assert stage.said(call_id, 2) == []
        assert (await stage.order(call_id, Hold(is_on=False))).outcome == "done"
        assert carrier.directions == ["sendonly", "sendrecv"]
        assert {one.codecs for one in carrier.asked} == {((0, "PCMU"),)}, "nothing else is spoken by now"
        await stage.until(lambda: ("agent", "Please go on.") in stage.said(call_id, 2))
        await answers(stage, caller, call_id, 2)
    assert holds(stage, call_id) == [(True, "order")]
    assert holds(stage, call_id, 2) == [(False, "order")]


async def _the_carrier_refuses(stage: Stage, engine: sip.Engine) -> None:
    carrier = Carrier(refuses=[488])
    async with on_the_phone(stage, engine, carrier) as (caller, call_id):
        assert (await stage.order(call_id, Hold())).outcome == "done"
        caller.phone.say(words("What are your opening hours?"))
        held_at = time.time()
        await asyncio.sleep(2.5)
        assert is_music(caller.phone.sound(held_at + 0.5))
        assert len(stage.said(call_id)) == 1
        assert (await stage.order(call_id, Hold(is_on=False))).outcome == "done"
        assert carrier.directions == ["sendonly"], "it was never on hold for the carrier"
        await answers(stage, caller, call_id)
        warned = {event.code: event.message for event in stage.events(call_id) if event.kind == "warning"}
        assert "488" in warned["hold_not_agreed"]


async def _a_glare_is_asked_again_and_the_limit_comes(stage: Stage, engine: sip.Engine) -> None:
    carrier = Carrier(refuses=[491])
    async with on_the_phone(stage, engine, carrier) as (caller, call_id):
        assert (await stage.order(call_id, Hold(max_seconds=5, sound="silence"))).outcome == "done"
        await stage.until(lambda: carrier.directions == ["sendonly", "sendonly"], 6)
        assert caller.phone.first_sound(time.time() - 0.1) is None
        # It has lasted as long as it may, and goes on by itself.
        await stage.until(lambda: holds(stage, call_id) == [(True, "order"), (False, "limit")], 10)
        await stage.until(lambda: carrier.directions[-1] == "sendrecv")
        await answers(stage, caller, call_id)


async def _a_function_goes_on_and_the_other_side_holds_too(stage: Stage, engine: sip.Engine) -> None:
    stage.agent |= {"end_call_after_silence_ms": 10_000}
    carrier = Carrier()
    async with on_the_phone(stage, engine, carrier) as (caller, call_id):
        caller.phone.say(words("I would like to type my PIN."))
        await stage.until(lambda: any(e.kind == "function_started" for e in stage.events(call_id)))
        assert (await stage.order(call_id, Hold())).outcome == "done"
        keys = Sender(ssrc=caller.phone.sender.ssrc, sequence=caller.phone.sender.sequence, timestamp=70_000)
        for code in (1, 9, 11):
            caller.phone.press(key_packets(keys, code))
        await stage.until(lambda: any(e.kind == "function" for e in stage.events(call_id)))
        began = time.time() + 1
        await asyncio.sleep(2.5)
        assert is_music(caller.phone.sound(began))
        assert not any("typed" in text for _, text in stage.said(call_id))
        await stage.order(call_id, Hold(is_on=False))
        await stage.until(lambda: ("agent", "Done: The person typed 1 9.") in stage.said(call_id))
        # Now the caller's own telephone holds: the agent waits, and asks nobody whether they are there.
        mine = sdp.Ours(("127.0.0.1", carrier.port), 7, 2)
        assert (await caller.dialog.reinvite(mine.offer("sendonly"))).is_success
        await stage.until(lambda: holds(stage, call_id)[-1] == (True, "caller"))
        quiet_from, said = time.time() + 0.2, len(stage.said(call_id))
        await asyncio.sleep(3)
        assert not [at for at, _ in caller.phone.heard if at > quiet_from]
        assert (await caller.dialog.reinvite(mine.next().offer())).is_success
        await stage.until(lambda: holds(stage, call_id)[-1] == (False, "caller"))
        assert len(stage.said(call_id)) == said


async def _a_hold_ends_the_call(stage: Stage, engine: sip.Engine) -> None:
    carrier = Carrier()
    async with on_the_phone(stage, engine, carrier) as (caller, call_id):
        await stage.order(call_id, Hold(max_seconds=1, at_limit="end", sound="none"))
        assert carrier.directions == ["inactive"]
        end = await stage.until(lambda: caller.end)
        assert end.by == "far"
        events = await stage.until(lambda: (e := stage.events(call_id)) and e[-1].kind == "call_ended" and e)
        assert (events[-1].status, events[-1].reason) == ("completed", "hold_limit")
