"""A warm transfer: whoever is to take the call is asked first, while the caller waits.

caller  ███ "one moment" ♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪♪█████ talks to them, or to the agent again
person                 ringing  hello█ brief, question ▁yes█████
                                   └ a machine: the caller comes back
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentSession, TurnHandlingOptions, UserInputTranscribedEvent, llm, vad
from livekit.agents.types import NOT_GIVEN

from pipelines import handoff
from pipelines.agent import SpokenAgent
from pipelines.agent_config import TransferTarget
from pipelines.phrases import phrase
from pipelines.tools.call_control import CannotDo
from worker.lines.line import Consults, Leg, Line, LineClosed
from worker.watchdog.floor import Floor

logger = logging.getLogger(__name__)

SCREEN_SECONDS = 4.0
"""For somebody who picks up and says nothing; a machine greets sooner."""
TIMES_ASKED = 2
SAY_SECONDS = 60.0
"""Of one text: a voice that stands still must not keep two people waiting."""
CLOSE_SECONDS = 3.0
_KEYS = {"1": True, "2": False}
_DECLINED = "They cannot take the call now"
_NO_WORD = "They did not say whether they take the call"


@dataclass(frozen=True)
class Consultation:
    """Asks one person for one call. `session` is the agent's own with the caller."""

    line: Line
    session: AgentSession[Any]
    target: TransferTarget
    floor: Floor | None
    model: llm.LLM[Any] | None
    """Whatever can sum up the talk."""
    seconds: float
    """How long the two may talk then."""
    another_vad: Callable[[], vad.VAD]
    """For whoever is asked: the agent's own holds its voice when somebody speaks."""
    count: Callable[[AgentSession[Any]], None]
    """Told of the session with whoever is asked."""

    async def hand_over(self) -> None:
        """Ask, and put them through. Raises `CannotDo` with why not; the caller is back with us then."""
        if not isinstance(self.line, Consults):
            raise CannotDo("Nobody can be asked beforehand on this line")
        told = asyncio.create_task(self._told(), name="sum up the talk")  # while the telephone rings
        try:
            async with self._waiting(self.line):
                leg = await self.line.consult(self.target)
                try:
                    await self._ask(leg, await told)
                    await self.line.put_through(leg, seconds=self.seconds)
                except BaseException:
                    await leg.hang_up()
                    raise
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)

    @property
    def _language(self) -> str:
        agent = self.session.current_agent
        return agent.language if isinstance(agent, SpokenAgent) else "en"

    async def _told(self) -> str:
        if self.target.private_message:
            return self.target.private_message
        said = self.session.current_agent.chat_ctx
        return await handoff.about(said, self._language, self.model)

    @contextlib.asynccontextmanager
    async def _waiting(self, line: Line) -> AsyncIterator[None]:
        """The caller waits: what they say is nobody's turn, and their silence is not counted."""
        session, floor = self.session, self.floor
        heard, held = session.input.audio_enabled, floor.is_on_hold if floor is not None else False
        session.input.set_audio_enabled(False)
        if floor is not None:
            floor.is_on_hold = True
        try:
            await line.hold(is_on=True)
            try:
                yield
            finally:
                await line.hold(is_on=False)
        finally:
            session.input.set_audio_enabled(heard)
            if floor is not None:
                floor.is_on_hold = held

    async def _ask(self, leg: Leg, told: str) -> None:
        """Return once they take the call, and the caller waits no more. Raises `CannotDo` otherwise."""
        if await leg.answered_by(SCREEN_SECONDS) == "machine":
            raise CannotDo("A machine answered there")
        asks = _Asking(leg, self._session(), self._language, self.target.accept_timeout_ms / 1000)
        self.count(asks.session)
        async with asks:
            if not await asks.accepted(told):
                raise CannotDo(asks.why_not)
            await self.line.hold(is_on=False)
            if self.target.three_way:
                if isinstance(self.line, Consults):
                    self.line.join(leg)
                words = self.target.public_message or phrase("introduce", self._language)
                await self._introduce(asks.session, words)

    async def _introduce(self, theirs: AgentSession[Any], words: str) -> None:
        """Both hear the same, each in their own line; and each other meanwhile."""
        with contextlib.suppress(TimeoutError, RuntimeError):
            async with asyncio.timeout(SAY_SECONDS):
                said = [one.say(words, allow_interruptions=False) for one in (self.session, theirs)]
                for one in said:
                    await one.wait_for_playout()

    def _session(self) -> AgentSession[None]:
        """A conversation without a mind: it says what is given to it, and understands yes and no."""
        mine = self.session
        agent = mine.current_agent
        ears, voice = mine.stt or NOT_GIVEN, agent.tts or mine.tts or NOT_GIVEN
        if voice is NOT_GIVEN:
            raise CannotDo("The agent has no voice to ask them with")
        return AgentSession(
            stt=ears,
            tts=voice,
            vad=self.another_vad(),
            turn_handling=TurnHandlingOptions(
                turn_detection="vad", interruption={"enabled": True, "mode": "vad", "min_duration": 0.3}
            ),
            user_away_timeout=None,
            session_close_transcript_timeout=0.0,
        )


class _Asking:
    """Tells somebody what it is about, and asks them. Entered, it has their line."""

    def __init__(self, leg: Leg, session: AgentSession[None], language: str, patience_seconds: float) -> None:
        self._leg, self.session = leg, session
        self._language, self._patience = language, patience_seconds
        self._verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._is_asked = False
        self.why_not = _NO_WORD

    async def __aenter__(self) -> "_Asking":
        self.session.on("user_input_transcribed", self._heard)
        await self._leg.start(self.session, Agent(instructions=""), None)
        return self

    async def __aexit__(self, *raised: object) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.session.aclose()

    async def accepted(self, told: str) -> bool:
        """Whether they take the call. `why_not` says why they do not."""
        asking = asyncio.ensure_future(self._ask(told))
        keys: asyncio.Future[None] = asyncio.ensure_future(self._keys())
        gone: asyncio.Future[LineClosed] = asyncio.ensure_future(self._leg.closed())
        tasks: set[asyncio.Future[Any]] = {self._verdict, asking, keys, gone}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                is_theirs = gone.result().cause == "user_hangup"
                self.why_not = "They have hung up" if is_theirs else "The line to them was lost"
                return False
            if not self._verdict.done():
                asking.result()  # a voice that failed says so here
                return False
            with contextlib.suppress(RuntimeError):
                await self.session.interrupt(force=True)
        finally:
            for task in tasks - {self._verdict}:
                task.cancel()
            await asyncio.gather(*tasks - {self._verdict}, return_exceptions=True)
        if not self._verdict.result():
            self.why_not = _DECLINED
        return self._verdict.result()

    async def _ask(self, told: str) -> None:
        await self._say(told, can_be_cut=False)
        self._is_asked = True
        for _ in range(TIMES_ASKED):
            await self._say(phrase("take_it", self._language), can_be_cut=True)
            await asyncio.sleep(self._patience)

    async def _say(self, words: str, *, can_be_cut: bool) -> None:
        try:
            async with asyncio.timeout(SAY_SECONDS):
                await self.session.say(words, allow_interruptions=can_be_cut).wait_for_playout()
        except TimeoutError:
            raise CannotDo("The agent has no voice to ask them with") from None

    async def _keys(self) -> None:
        while not self._verdict.done():
            if (answer := _KEYS.get(await self._leg.digit())) is not None:
                self._decide(answer)
        await asyncio.Event().wait()  # it is the verdict that is waited for

    def _heard(self, event: UserInputTranscribedEvent) -> None:
        if not self._is_asked or not event.is_final:
            return  # "hello?" while they are told
        answer = handoff.accepts(event.transcript, self._language)
        if answer is not None:
            self._decide(answer)

    def _decide(self, answer: bool) -> None:
        if not self._verdict.done():
            self._verdict.set_result(answer)
