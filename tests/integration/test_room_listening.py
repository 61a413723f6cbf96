"""People beside the agent of a call that lives in a room: they sit in another room, and nobody sees them."""

import asyncio
import time

import numpy as np
import pytest

from pipelines.agent_config import AgentConfig
from pipelines.contract.actions import GiveBack, Hold, Listen, TakeOver, Whisper, WhisperAloud
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import Steered
from tests.integration.test_phone_holds import is_music
from tests.support.listener import (
    AGENT,
    ANN,
    HUM,
    NOTICED_SECONDS,
    RATE,
    ROOM,
    hears,
    hum,
    humming,
    listening,
    loudness,
    now_heard,
    token_for,
)
from tests.support.rehearsal import Rehearsal, rehearsal
from tests.support.speech import pause, spoken
from worker.lines.listening_signs import BACK_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

BOB = "listener_bob"
MUTED_SECONDS = 15.0
"""Half of what livekit-server takes to notice that somebody silent is gone; 5.3 s on a quiet machine."""
HEARD = ["What are your hours?", "He is a member.", "Are you a human?", "Yes, this is Ann.", "And tomorrow?"]


async def muted(person: asyncio.subprocess.Process) -> None:
    """They have a microphone, and say nothing into it."""
    assert person.stdin is not None
    assert person.stdout is not None
    person.stdin.write(b"\n")
    assert await asyncio.wait_for(person.stdout.readline(), 10) == b"muted\n"


async def until(stage: Rehearsal, line: tuple[str, str]) -> None:
    async with asyncio.timeout(15):
        while line not in stage.said("c1"):
            await asyncio.sleep(0.02)


async def test_a_call_in_a_room_is_listened_to_taken_over_held_and_given_back() -> None:
    answers = {"What are your hours?": "Nine to five, every day of the week.", "And tomorrow?": "As always."}
    agent = {"agent_id": "a", "name": "A", "begin_message": "Hello.", "begin_message_mode": "static"}
    async with rehearsal({"heard": HEARD, "answers": answers}) as stage:
        config = AgentConfig.model_validate({**agent, "enable_recording": True})
        stage.briefs["c1"] = CallBrief(call_id="c1", participant_identity="caller", agent=config)
        async with stage.call("c1") as caller:
            await caller.hear(after=0)
            await caller.quiet()
            assert await stage.order("c1", Listen(room_name=ROOM, identity=ANN, name="Ann")) == ""
            async with listening(stage.livekit_url, token_for(ROOM, ANN)) as ann:
                await caller.say(np.concatenate([spoken("What are your opening hours?"), pause(0.1)]))
                assert np.abs(ann.sound("caller", 2)).max() > 3000
                await hears(caller, AGENT)
                await asyncio.sleep(0.5)
                assert loudness(ann.sound("agent", 0.5), AGENT, RATE) > 500
                assert loudness(ann.sound("caller", 0.5), AGENT, RATE) < 200, "each side on its own track"
                await caller.quiet()

                await ann.open_microphone()
                quiet_since = time.perf_counter()
                assert await stage.order("c1", WhisperAloud(identity=ANN, name="Ann")) == ""
                ann.say(spoken("He is a member, be kind to him."))
                whispered = Whisper(text="He is a member.", name="Ann")
                async with asyncio.timeout(15):
                    while whispered not in _done(stage):
                        await asyncio.sleep(0.02)
                assert await stage.order("c1", WhisperAloud(identity=ANN, is_on=False)) == ""
                assert caller.heard.first_sound_after(quiet_since) is None, "whispers are for the agent alone"

                assert await stage.order("c1", TakeOver(identity=ANN, name="Ann")) == ""
                await caller.say(np.concatenate([spoken("Am I talking with a human now?"), pause(0.1)]))
                await until(stage, ("user", "Are you a human?"))
                spoke_at = time.perf_counter()
                ann.say(spoken("Yes, hello, this is Ann, how may I help you?"))
                await caller.hear(after=spoke_at)
                await until(stage, ("supervisor", "Yes, this is Ann."))
                ann.voice = hum
                await hears(caller, HUM)
                assert now_heard(caller, AGENT) < 100

                assert await stage.order("c1", Hold()) == ""
                await asyncio.sleep(2.5)
                waits = np.concatenate([pcm for _, pcm in caller.heard.frames[-100:]])
                assert is_music(waits[::6].astype(np.int16)), "whoever waits in a room hears music, too"
                assert await stage.order("c1", Hold(is_on=False)) == ""
                await hears(caller, HUM)

                assert await stage.order("c1", GiveBack()) == ""
                await hears(caller, AGENT)
                await asyncio.sleep(0.5)
                assert now_heard(caller, HUM) < 100
                await caller.quiet()
                await caller.say(np.concatenate([spoken("And what about tomorrow?"), pause(0.1)]))
                await until(stage, ("agent", "As always."))
                assert len(caller.room.remote_participants) == 1, "nobody sees who listens"
            async with humming(stage.livekit_url, token_for(ROOM, ANN)) as person:
                assert await stage.order("c1", TakeOver(identity=ANN, name="Ann")) == ""
                await hears(caller, HUM)
                person.kill()
                await hears(caller, AGENT, NOTICED_SECONDS)
            async with humming(stage.livekit_url, token_for(ROOM, BOB)) as person:
                assert await stage.order("c1", TakeOver(identity=BOB, name="Bob")) == ""
                await hears(caller, HUM)
                await muted(person)
                await asyncio.sleep(BACK_SECONDS + 1)
                assert isinstance(_done(stage)[-1], TakeOver), "they are there, and say nothing"
                person.kill()
                await hears(caller, AGENT, MUTED_SECONDS)
        events = await stage.ended("c1")
        assert (events[-1].kind, events[-1].reason) == ("call_ended", "user_hangup")
        assert _done(stage)[-1] == GiveBack(identity=BOB, name="Bob", has_left=True)


def _done(stage: Rehearsal) -> list[object]:
    return [event.action for event in stage.events("c1") if isinstance(event, Steered)]
