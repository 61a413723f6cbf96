"""Whatever dies while a call is listened to or taken over, the caller hears whom they should again."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pipelines.contract.actions import GiveBack, Listen, TakeOver
from pipelines.contract.events import CallEnded, Steered, UtteranceHeard
from tests.support.listener import (
    AGENT,
    ANN,
    HUM,
    LOUD,
    NOTICED_SECONDS,
    ROOM,
    hears,
    hum,
    listening,
    now_heard,
    token_for,
)
from tests.support.speech import words
from tests.support.telephony import Stage, calling, staged

pytestmark = [pytest.mark.phones, pytest.mark.timeout(200)]

HEARD = ("What are your hours?", "Am I talking with a human?")


async def killed(stage: Stage, attempt: int) -> None:
    """The process that has the call dies, and the api has another one take it up."""
    lost = len(stage.lost)
    victim = stage.shard_of("c1")
    next(one for one in stage.processes.values() if one.pid == victim).kill()
    await stage.until(lambda: len(stage.lost) > lost)
    events = [event for number in range(1, attempt) for event in stage.events("c1", number)]
    stage.take_up(
        "c1",
        attempt,
        transcript=[e.utterance.model_dump(mode="json") for e in events if isinstance(e, UtteranceHeard)],
        steered=[e.action.model_dump(mode="json") for e in events if isinstance(e, Steered)],
        started_at=datetime.now(UTC).isoformat(),
    )


async def test_whatever_dies_beside_a_supervisor_the_caller_is_not_left_alone() -> None:
    async with staged(heard=HEARD, shards=3, has_rooms=True) as (stage, carrier):
        async with calling(stage, carrier) as caller:
            phone = caller.phone
            await stage.until(lambda: len(stage.said("c1")) == 1)
            obeyed = await stage.order("c1", Listen(room_name=ROOM, identity=ANN, name="Ann"))
            assert obeyed.outcome == "done"
            async with listening(stage.livekit_url, token_for(ROOM, ANN)) as ann:
                ann.voice = hum
                await ann.open_microphone()
                await stage.until(lambda: {"caller", "agent"} <= set(ann.heard))

                await killed(stage, 2)
                await hears(phone, AGENT)
                came = len(ann.heard["caller"])
                await stage.until(lambda: len(ann.heard["caller"]) > came + 10)
                phone.say(words("What are your opening hours?"))
                await stage.until(lambda: np.abs(ann.sound("caller", 1)).max(initial=0) > 3000)
                await stage.until(lambda: ("user", HEARD[0]) in stage.said("c1", 2))
                await stage.until(lambda: stage.said("c1", 2)[-1][0] == "agent")

                assert (await stage.order("c1", TakeOver(identity=ANN, name="Ann"))).outcome == "done"
                await hears(phone, HUM)
                phone.say(words("Am I talking with a human now?"))
                await stage.until(lambda: _words(stage, 2) == 2)
                await killed(stage, 3)
                await hears(phone, HUM, never=AGENT)
                assert stage.said("c1", 3) == []

                stage.processes["exchange"].kill()
                await stage.processes["exchange"].wait()
                await hears(phone, HUM, never=AGENT)
                await stage.start("exchange")
                await stage.until(
                    lambda: (e := stage.liveness.exchange) is not None and e.call_ids == ("c1",)
                )
                assert now_heard(phone, HUM) > LOUD

                stage.livekit().kill()
                await hears(phone, AGENT, NOTICED_SECONDS)
                given = [e.action for e in stage.events("c1", 3) if isinstance(e, Steered)]
                assert given == [GiveBack(identity=ANN, name="Ann", has_left=True)]
            assert (await stage.order("c1", Listen(room_name=ROOM, identity=ANN))).outcome == "refused"
        await stage.until(lambda: stage.events("c1", 3)[-1].kind == "call_ended")
        ends = [event for n in (1, 2, 3) for event in stage.events("c1", n) if isinstance(event, CallEnded)]
        assert [(end.status, end.reason) for end in ends] == [("completed", "user_hangup")]


def _words(stage: Stage, attempt: int) -> int:
    return sum(role == "user" for role, _ in stage.said("c1", attempt))
