"""The floor over a real livekit-server: a dictated number with a pause in it, and a listener's murmur."""

import asyncio

import numpy as np
import pytest

from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import UtteranceHeard
from tests.support.rehearsal import rehearsal
from tests.support.speech import pause, spoken

NUMBER = ("My number is five five five", "zero one three four four seven nine nine")
ANSWER = "I have written down your number and somebody will call you back before the end of the day, today."
SCRIPT = {"heard": [*NUMBER, "Uh-huh."], "answers": {" ".join(NUMBER): ANSWER}}


@pytest.mark.e2e
async def test_a_number_is_heard_to_its_end_and_a_murmur_does_not_stop_the_answer() -> None:
    async with rehearsal(SCRIPT) as stage:
        agent = {
            "agent_id": "agent",
            "name": "Clinic",
            "begin_message": "Yes?",
            "begin_message_mode": "static",
        }
        stage.briefs["number"] = CallBrief(
            call_id="number", participant_identity="caller", agent=AgentConfig.model_validate(agent)
        )
        async with stage.call("number") as caller:
            await caller.hear(after=0)
            await caller.quiet()
            first, second = (spoken(words) for words in NUMBER)
            asked = await caller.say(np.concatenate([first, pause(0.5), second, pause(0.1)]))
            await caller.hear(after=asked)
            await asyncio.sleep(1.5)
            await caller.say(np.concatenate([spoken("Uh-huh."), pause(0.1)]))
            await caller.quiet(seconds=2.5)
        events = await stage.ended("number")
    said = [event.utterance for event in events if isinstance(event, UtteranceHeard)]
    assert [(each.role, each.text, each.was_interrupted) for each in said] == [
        ("agent", "Yes?", False),
        ("user", " ".join(NUMBER), False),
        ("agent", ANSWER, False),
    ]
