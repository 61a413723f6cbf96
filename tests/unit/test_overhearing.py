"""What is said while a person has the call: when it began, and a recogniser that breaks off."""

import asyncio
from typing import Any

from livekit.agents import AgentSession, APIConnectOptions, LanguageCode, stt, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from pipelines.transcript import Utterance
from tests.support.virtual_clock import played
from worker.overhearing import HEARD_RATE, Overhearing

STARTS, ENDS = stt.SpeechEventType.START_OF_SPEECH, stt.SpeechEventType.END_OF_SPEECH
FRAME = bytes(HEARD_RATE // 50 * 2)


class Ears(stt.STT[str]):
    """Says what it is told to, in each of its streams; None breaks it off."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.streams: list[_Stream] = []

    async def _recognize_impl(
        self, buffer: utils.AudioBuffer, *, language: NotGivenOr[str], conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """One side's."""
        self.streams.append(_Stream(stt=self, conn_options=conn_options))
        return self.streams[-1]


class _Stream(stt.RecognizeStream):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.says: asyncio.Queue[stt.SpeechEventType | str | None] = asyncio.Queue()

    async def _run(self) -> None:
        while (says := await self.says.get()) is not None:
            if isinstance(says, stt.SpeechEventType):
                self._event_ch.send_nowait(stt.SpeechEvent(says))
                continue
            words = stt.SpeechData(language=LanguageCode("en"), text=says)
            self._event_ch.send_nowait(
                stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[words])
            )
        raise RuntimeError("no ears")


def test_a_recogniser_that_breaks_off_breaks_nothing_else() -> None:
    async def talk(turns: int) -> tuple[list[str], list[Utterance]]:
        warned: list[str] = []
        ears = Ears()
        overhearing = Overhearing(lambda said: None, lambda code, message: warned.append(code))
        overhearing.begin(AgentSession(stt=ears, vad=None))
        caller, supervisor = ears.streams
        supervisor.says.put_nowait("This is Ann.")
        await asyncio.sleep(1)
        caller.says.put_nowait(None)
        for _ in range(turns):  # the two talk on, at each turn of the loop
            overhearing.caller(FRAME, HEARD_RATE, 0.0)
            overhearing.agent(FRAME, HEARD_RATE, 0.0)
            await asyncio.sleep(0)
        return warned, await overhearing.end()

    for turns in range(12):  # and it is given back at each
        warned, said = played(talk(turns))
        assert warned == ["take_over_unheard"]
        assert [one.text for one in said] == ["This is Ann."]


def test_each_line_begins_where_it_was_begun_although_words_come_late() -> None:
    async def talk() -> list[Utterance]:
        ears = Ears()
        overhearing = Overhearing(lambda said: None, lambda code, message: None)
        overhearing.begin(AgentSession(stt=ears, vad=None))
        caller, _ = ears.streams

        async def says(after: float, what: stt.SpeechEventType | str) -> None:
            await asyncio.sleep(after)
            caller.says.put_nowait(what)

        await says(0, STARTS)  # a noise
        await says(1, ENDS)
        await says(4, STARTS)
        await says(2, ENDS)
        await says(0.5, STARTS)
        await says(0.5, "One moment.")
        await says(4, ENDS)
        await says(1, "Here it is.")
        await asyncio.sleep(0.1)
        return await overhearing.end()

    first, second = played(talk())
    began = first.started_at
    spans = [(one.started_at - began, one.ended_at - began) for one in (first, second)]
    assert [tuple(round(at.total_seconds(), 1) for at in span) for span in spans] == [(0, 2), (2.5, 7)]
