"""Calls on a real livekit-server: job processes, WebRTC, sound both ways; only the providers are instant."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio

from bench.parts.caller import LOUD, RATE, rms
from pipelines.agent_config import AgentConfig, EngineConfig
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import CallEnded, FunctionCalled, TurnTaken, UtteranceHeard, WarningRaised
from tests.support.rehearsal import Rehearsal, rehearsal
from tests.support.speech import pause, spoken
from tests.support.stack import ROOT
from worker.lines.room import BACK_SECONDS
from worker.recording import seal

GREETING = "Hello, this is the clinic. How may I help you?"
STORY = "This is a very long answer that goes on " + "and on " * 40 + "until its very end."
SCRIPT = {
    "heard": ["What are your hours?", "Stop please.", "Something else."],
    "answers": {
        "What are your hours?": STORY,
        "Stop please.": "All right.",
        "typed question": "Typed answer.",
        "my pin": {"name": "collect_digits", "arguments": {"count": 4}},
        "press two": {"name": "send_digits", "arguments": {"digits": "2"}},
        "a human": {"name": "transfer_call", "arguments": {"target": "Desk"}},
        "book it": {"name": "book", "arguments": {"day": "Monday"}},
    },
}
FUNCTIONS = '''
from livekit.agents import function_tool

@function_tool
def book(day: str) -> str:
    """Book a day."""
    return f"booked {day}"
'''


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Rehearsal]:
    async with rehearsal(SCRIPT, FUNCTIONS) as running:
        yield running


def brief(call_id: str, **changes: object) -> CallBrief:
    agent: dict[str, object] = {
        "agent_id": "agent",
        "name": "Clinic",
        "begin_message": GREETING,
        "begin_message_mode": "static",
        "enable_recording": True,
        "engine": EngineConfig(functions=({"type": "python", "name": "book"},)),
    }
    return CallBrief(
        call_id=call_id, participant_identity="caller", agent=AgentConfig.model_validate({**agent, **changes})
    )


def channels(stage: Rehearsal, call_id: str) -> np.ndarray:
    """The recording, float, shape (samples, 2), 8 kHz."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(stage.recording(call_id)),
        "-f",
        "s16le",
        "-ar",
        "8000",
        "-",
    ]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(decoded, np.int16).reshape(-1, 2).astype(float)


def loud_seconds(channel: np.ndarray) -> float:
    blocks = channel[: len(channel) // 160 * 160].reshape(-1, 160)
    return float(np.sum(np.sqrt(np.mean(blocks**2, axis=1)) > LOUD) * 0.02)


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_is_greeted_answered_interrupted_and_recorded(stage: Rehearsal) -> None:
    stage.briefs["first"] = brief("first")
    async with stage.call("first") as caller:
        await caller.hear(after=0)
        await caller.quiet()
        asked = await caller.say(np.concatenate([spoken("What are your opening hours?"), pause(0.1)]))
        await caller.hear(after=asked)
        await asyncio.sleep(3)
        asked = await caller.say(np.concatenate([spoken("Stop please, that is enough for me."), pause(0.1)]))
        await caller.hear(after=asked)
        await caller.quiet()
        heard_seconds = sum(rms(pcm) > LOUD for _, pcm in caller.heard.frames) * 0.02
    events = await stage.ended("first")

    assert [event.sequence for event in events] == list(range(len(events)))
    utterances = [event.utterance for event in events if isinstance(event, UtteranceHeard)]
    assert [(said.role, said.was_interrupted) for said in utterances] == [
        ("agent", False),
        ("user", False),
        ("agent", True),
        ("user", False),
        ("agent", False),
    ]
    assert utterances[0].text == GREETING
    cut = utterances[2].text
    assert STORY.startswith(cut)
    assert 20 < len(cut) < 120, "only what was heard in three to six seconds"
    spoken_seconds = (utterances[2].ended_at - utterances[2].started_at).total_seconds()
    assert 3 < spoken_seconds < 7
    yielded_after = (utterances[2].ended_at - utterances[3].started_at).total_seconds()
    assert 0.05 < yielded_after < 0.45, "as soon as it is more than a cough"
    for said in utterances:
        assert said.started_at <= said.ended_at

    turns = [event.turn for event in events if isinstance(event, TurnTaken)]
    assert [turn.utterance_id for turn in turns] == [utterances[2].utterance_id, utterances[4].utterance_id]
    latency = turns[0].latency
    assert latency.endpointing_ms is not None
    assert latency.llm_first_token_ms is not None
    assert latency.total_ms is not None
    assert latency.total_ms < 2000

    ended = events[-1]
    assert isinstance(ended, CallEnded)
    assert (ended.status, ended.reason, ended.has_recording) == ("completed", "user_hangup", True)
    sides = channels(stage, "first")
    assert loud_seconds(sides[:, 0]) > 1.6, "the caller is on the left"
    assert abs(loud_seconds(sides[:, 1]) - heard_seconds) < 1, "on the right is what was heard, no more"


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_keys_go_both_ways_in_a_room(stage: Rehearsal) -> None:
    engine = EngineConfig(builtin_functions=("dtmf_input", "send_digits", "transfer_call"))
    desk = {"name": "Desk", "kind": "sip", "value": "desk@pbx.example"}
    stage.briefs["keys"] = brief("keys", engine=engine, transfer_targets=[desk])
    async with stage.call("keys", kind="sip") as caller:
        pressed: list[str] = []
        caller.room.on("sip_dtmf_received", lambda key: pressed.append(key.digit))
        await caller.hear(after=0)
        await caller.quiet()
        await caller.type("my pin")
        for key in "4711":
            await caller.room.local_participant.publish_dtmf(code=int(key), digit=key)
        await said_by_agent(stage, "keys", "Done: The person typed 4 7 1 1.")
        await caller.type("press two")
        async with asyncio.timeout(20):
            while pressed != ["2"]:
                await asyncio.sleep(0.05)
        # This livekit-server has no livekit-sip that could refer anybody.
        await caller.type("a human")
        async with asyncio.timeout(20):
            while not (
                tried := [
                    e
                    for e in stage.events("keys")
                    if getattr(e, "name", "") == "transfer_call" and e.kind == "function"
                ]
            ):
                await asyncio.sleep(0.05)
        assert (tried[0].error or tried[0].result or "").startswith("Nobody could be reached there")
    await stage.ended("keys")


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_typed_text_is_answered_and_marked_and_functions_run(stage: Rehearsal) -> None:
    stage.briefs["typed"] = brief("typed")
    async with stage.call("typed") as caller:
        await caller.hear(after=0)
        await caller.quiet()
        await caller.type("typed question")
        await said_by_agent(stage, "typed", "Typed answer.")
        await caller.type("book it")
        await said_by_agent(stage, "typed", "Done: booked Monday")
        kinds = {message["kind"] for _, message in caller.heard.messages}
    events = await stage.ended("typed")
    typed = [event.utterance for event in events if isinstance(event, UtteranceHeard)]
    assert [said.text for said in typed if said.is_typed] == ["typed question", "book it"]
    (called,) = [event for event in events if isinstance(event, FunctionCalled)]
    assert (called.name, called.arguments, called.result, called.error) == (
        "book",
        {"day": "Monday"},
        "booked Monday",
        None,
    )
    assert {"call_started", "utterance", "turn", "function"} <= kinds


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_room_is_heard_behind_an_agent_that_says_nothing(stage: Rehearsal) -> None:
    sound = {"background_sound": "office", "background_volume": 1.0}
    stage.briefs["room"] = brief("room", voice=sound, opening={"caller_first": True})
    async with stage.call("room") as caller:
        async with asyncio.timeout(30):
            while sum(rms(pcm) > 0 for _, pcm in caller.heard.frames) < 100:
                await asyncio.sleep(0.1)
        loudness = np.sqrt(np.mean(caller.heard.audio()[-RATE:].astype(float) ** 2)) / 32767
    events = await stage.ended("room")
    assert 0.01 < loudness < 0.1
    assert [event for event in events if isinstance(event, UtteranceHeard)] == []


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_silence_ends_a_call_and_the_page_is_told(stage: Rehearsal) -> None:
    stage.briefs["silent"] = brief("silent", end_call_after_silence_ms=10_000, enable_recording=False)
    async with stage.call("silent") as caller:
        await asyncio.wait_for(caller.disconnected.wait(), 30)
        last = caller.heard.messages[-1][1]
    (ended,) = [event for event in await stage.ended("silent") if isinstance(event, CallEnded)]
    assert (ended.reason, ended.has_recording) == ("silence", False)
    assert (last["kind"], last["reason"]) == ("call_ended", "silence")
    assert not stage.recording("silent").exists()


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_whose_agent_is_gone_says_so_and_leaves(stage: Rehearsal) -> None:
    async with stage.call("nobody-knows-this") as caller:
        await asyncio.wait_for(caller.disconnected.wait(), 15)
        assert [message["reason"] for _, message in caller.heard.messages] == ["agent_gone"]
    assert stage.events("nobody-knows-this") == []


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_what_an_agent_asks_for_in_vain_is_warned_of(stage: Rehearsal) -> None:
    stage.briefs["warned"] = brief("warned", voice_id="elevenlabs-rachel", begin_message="Hi {{nickname}}!")
    async with stage.call("warned") as caller:
        await caller.hear(after=0)
        await caller.quiet()
    events = await stage.ended("warned")
    codes = {event.code for event in events if isinstance(event, WarningRaised)}
    assert codes == {"voice_unavailable", "llm_unavailable", "variable_unknown"}
    assert [event.utterance.text for event in events if isinstance(event, UtteranceHeard)] == ["Hi!"]


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_killed_call_leaves_what_was_said_and_the_sound_up_to_a_second_before(
    stage: Rehearsal,
) -> None:
    stage.briefs["killed"] = brief("killed", begin_message=f"{GREETING} {STORY}")
    async with stage.call("killed") as caller:
        await caller.hear(after=0)
        await asyncio.sleep(3)
        recording = stage.recording("killed")
        (job,) = [process for process in stage.processes() if holds_open(process, recording)]
        job.kill()
        heard_seconds = sum(rms(pcm) > LOUD for _, pcm in caller.heard.frames) * 0.02
    assert next(event.kind for event in stage.events("killed")) == "call_started"
    assert heard_seconds - 1.1 < loud_seconds(channels(stage, "killed")[:, 1]) <= heard_seconds + 0.3
    assert seal(recording) > 2000


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_caller_whose_network_broke_goes_on_in_the_same_call(stage: Rehearsal) -> None:
    stage.briefs["lost"] = brief("lost")
    gone = await callers_process(stage, "lost")
    await said_by_agent(stage, "lost", GREETING)
    gone.kill()
    await gone.wait()
    await asyncio.sleep(4)
    async with stage.call("lost") as caller:
        asked = await caller.say(np.concatenate([spoken("What are your opening hours?"), pause(0.1)]))
        await caller.hear(after=asked)
        await asyncio.sleep(1)
    events = await stage.ended("lost")
    ended = events[-1]
    assert isinstance(ended, CallEnded)
    assert (ended.status, ended.reason) == ("completed", "user_hangup")
    assert [call_id for call_id, _ in stage.asked].count("lost") == 1, "one call, one process"
    heard = [event.utterance for event in events if isinstance(event, UtteranceHeard)]
    assert [said.text for said in heard if said.role == "user"] == ["What are your hours?"]
    (turn,) = [event.turn for event in events if isinstance(event, TurnTaken)]
    assert turn.latency.total_ms is not None
    assert 0 < turn.latency.total_ms < 5000, "measured from the speech after the return"


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_caller_who_does_not_come_back_has_lost_the_line(stage: Rehearsal) -> None:
    stage.briefs["away"] = brief("away", end_call_after_silence_ms=120_000)
    gone = await callers_process(stage, "away")
    await said_by_agent(stage, "away", GREETING)
    gone.kill()
    await gone.wait()
    # livekit-server takes its time to see that somebody is gone; the grace begins then.
    ended = (await stage.ended("away", timeout=BACK_SECONDS + 45))[-1]
    assert isinstance(ended, CallEnded)
    assert (ended.status, ended.reason) == ("completed", "line_lost")


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_an_agent_server_that_is_asked_to_stop_lets_its_calls_end_by_themselves() -> None:
    async with rehearsal(SCRIPT, FUNCTIONS) as stage:
        stage.briefs["stopped"] = brief("stopped")
        worker = psutil.Process(stage.worker_pid)
        async with stage.call("stopped") as caller:
            await caller.hear(after=0)
            await caller.quiet(seconds=0.3)
            stage.stop_worker()
            asked = await caller.say(np.concatenate([spoken("Stop please."), pause(0.1)]))
            await caller.hear(after=asked)
            assert worker.status() != psutil.STATUS_ZOMBIE, "it waits for its call"
        ended = (await stage.ended("stopped"))[-1]
        assert isinstance(ended, CallEnded)
        assert (ended.status, ended.reason) == ("completed", "user_hangup")
        assert ended.has_recording


def holds_open(process: psutil.Process, path: Path) -> bool:
    return any(opened.path == str(path) for opened in process.open_files())


async def said_by_agent(stage: Rehearsal, call_id: str, text: str) -> None:
    async with asyncio.timeout(15):
        while not any(
            isinstance(event, UtteranceHeard) and event.utterance.text == text
            for event in stage.events(call_id)
        ):
            await asyncio.sleep(0.05)


_CALLER = """
import asyncio, sys
from bench.parts.caller import Caller

async def call() -> None:
    async with Caller.joined(sys.argv[1], sys.argv[2]):
        await asyncio.sleep(300)

asyncio.run(call())
"""


async def callers_process(stage: Rehearsal, call_id: str) -> asyncio.subprocess.Process:
    """Somebody in a process of their own, which can lose its network by dying."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CALLER, stage.livekit_url, stage.token(call_id), cwd=ROOT
    )
