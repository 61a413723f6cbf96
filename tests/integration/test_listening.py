"""People beside the agent of a phone call: PJSIP on a real exchange, a real livekit-server, LiveKit's SDK."""

import asyncio
import contextlib
import json
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract.actions import Action, GiveBack, Listen, TakeOver, Whisper
from pipelines.contract.events import Steered
from tests.support.listener import AGENT, ANN, HUM, RATE, ROOM, hum, listening, loudness, token_for
from tests.support.speech import words
from tests.support.stack import ROOT
from tests.support.telephony import NUMBER, Stage, staged

pytestmark = [pytest.mark.phones, pytest.mark.timeout(150)]


class Phone:
    """PJSIP in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process, self._folder = process, folder
        self.heard_path = folder / "heard.wav"

    def order(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def say(self, text: str) -> None:
        path = self._folder / f"{abs(hash(text))}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(words(text).tobytes())
        self.order(f"play {path}")

    async def is_over(self) -> None:
        await asyncio.wait_for(self._process.wait(), 15)

    def heard(self) -> np.ndarray:
        """All of it, 8 kHz; the recorder writes as it hears, and its header at the end."""
        return np.frombuffer(self.heard_path.read_bytes()[44:], np.int16)

    async def hears(self, hertz: int, seconds: float = 10.0) -> None:
        """A tone, loud, in what comes from now on."""
        since = self.heard_path.stat().st_size // 2
        async with asyncio.timeout(seconds):
            while loudness(self.heard()[since:][-4000:], hertz, 8000) < 500:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def phoning(stage: Stage) -> AsyncIterator[Phone]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.pjsip_caller"),
        *(f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}", str(stage.home / "heard.wav")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            while text := await process.stdout.readline():
                if text.startswith(b"{") and json.loads(text).get("state") == "CONFIRMED":
                    break
        yield Phone(process, stage.home)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def does(stage: Stage, action: Action) -> None:
    """It is done."""
    obeyed = await stage.order("c1", action)
    assert (obeyed.outcome, obeyed.message) == ("done", "")


async def test_a_call_is_listened_to_taken_over_and_given_back() -> None:
    heard = ("What are your hours?", "Is this a human?", "And tomorrow?", "Thank you.")
    answers = {"What are your hours?": "Nine to five, every day of the week.", "And tomorrow?": "As always."}
    async with staged(heard=heard, answers=answers, shards=1, has_rooms=True) as (stage, _):
        async with phoning(stage) as phone:
            await stage.until(lambda: len(stage.said("c1")) == 1)
            refused = await stage.order("c1", TakeOver(identity=ANN))
            assert refused.outcome == "refused"
            assert "ask to listen first" in refused.message

            await does(stage, Listen(room_name=ROOM, identity=ANN, name="Ann"))
            async with listening(stage.livekit_url, token_for(ROOM, ANN)) as ann:
                await stage.until(lambda: {"caller", "agent"} <= set(ann.heard))
                phone.say("What are your opening hours?")
                await stage.until(lambda: np.abs(ann.sound("caller", 1)).max(initial=0) > 3000)
                await stage.until(lambda: loudness(ann.sound("agent", 0.5), AGENT, RATE) > 500)
                assert loudness(ann.sound("caller", 0.5), AGENT, RATE) < 200, "each side on its own track"
                await stage.until(lambda: len(stage.said("c1")) == 3)
                await does(stage, Whisper(text="He is a member.", name="Ann"))

                refused = await stage.order("c1", TakeOver(identity=ANN))
                assert refused.message == "They have no open microphone in the room"
                ann.voice = hum
                await ann.open_microphone()
                await does(stage, TakeOver(identity=ANN, name="Ann"))
                await phone.hears(HUM)
                phone.say("Is this really a human whom I talk to?")
                await stage.until(lambda: np.abs(ann.sound("caller", 0.5)).max(initial=0) > 3000)
                await stage.until(lambda: ("user", "Is this a human?") in stage.said("c1"))
                await asyncio.sleep(1)
                assert len(stage.said("c1")) == 4, "the agent hears nothing and says nothing"
                assert loudness(phone.heard()[-4000:], AGENT, 8000) < 100

                await does(stage, GiveBack())
                await phone.hears(AGENT)
                await stage.until(lambda: len(stage.said("c1")) == 5)
                assert loudness(phone.heard()[-2000:], HUM, 8000) < 100
                phone.say("And what about tomorrow?")
                await stage.until(lambda: ("agent", "As always.") in stage.said("c1"))

                await does(stage, TakeOver(identity=ANN, name="Ann"))
                await phone.hears(HUM)
            # She has left without giving it back.
            await phone.hears(AGENT)
            phone.order("leave")
            await phone.is_over()
        await stage.until(lambda: stage.events("c1")[-1].kind == "call_ended")
        done = [event.action for event in stage.events("c1") if isinstance(event, Steered)]
        assert [action.action for action in done] == [
            *("listen", "whisper", "take_over", "give_back", "take_over", "give_back")
        ]
        assert done[-1] == GiveBack(identity=ANN, name="Ann", has_left=True)
        for path in (stage.home / "logs").iterdir():
            assert "member" not in path.read_text(), "no word is in a log"
