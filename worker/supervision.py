"""People beside the agent: who listens, who whispers to it, and who talks in its place.

take over ──► agent cut off, answers nothing ──► the caller hears the person, both are written down
give back ──┐
they leave ─┴► the agent says that it is back, and knows what was said (or the call ends)
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

from livekit.agents import AgentSession, stt
from livekit.agents.llm import ChatContext

from pipelines.contract.actions import Action, GiveBack, Listen, TakeOver, Whisper, WhisperAloud
from pipelines.phrases import phrase
from pipelines.resuming import last_take_over
from pipelines.tools.call_control import CannotDo
from pipelines.transcript import Utterance
from worker.lines.line import Attended, Left, Line, Listeners
from worker.overhearing import HEARD_RATE, MOST_TOLD, Overhearing, along

logger = logging.getLogger(__name__)

Supervised = Listen | Whisper | WhisperAloud | TakeOver | GiveBack

LONGEST_WHISPER = 2_000
_WHISPERED = (
    "Your supervisor tells you, unheard by the person you talk with: {words}\n"
    "Follow it from your next answer on. Never mention that somebody told you."
)
_UNHEARD = (
    "{name} has just talked with the person in your place, and you did not hear it. "
    "If you need to know what was agreed on, ask the person."
)
_HEARD = (
    "{name} has just talked with the person in your place. What was said comes before this; what stands "
    "there as yours was {name}'s. You have the call again: hold to what was agreed on."
)
_SOMEBODY = "A colleague"


class Supervision:
    """One call's. `tell` writes down what happened without an order."""

    def __init__(
        self,
        line: Line,
        tell: Callable[[Action], None],
        end: Callable[[str], None],
        language: str,
        overhearing: Overhearing,
    ) -> None:
        self._line, self._tell, self._end, self._language = line, tell, end, language
        self._overhearing = overhearing
        self.on_change: Callable[[AgentSession[Any]], Any] = lambda session: None
        """Awaited when somebody else than before has the call."""
        self._session: AgentSession[Any] | None = None
        self._taken: TakeOver | None = None
        self._whispering: dict[str, asyncio.Task[None]] = {}
        self._returning: asyncio.Task[None] | None = None
        self._learning: set[asyncio.Task[None]] = set()
        self._untold: list[Utterance] = []
        """What the agent is to know once it has the call again."""
        if isinstance(line, Attended):
            line.listeners.on_left = self._left
            line.listeners.overheard = overhearing

    @property
    def is_taken_over(self) -> bool:
        """Whether a person talks in the agent's place."""
        return self._taken is not None

    async def do(self, session: AgentSession[Any], action: Supervised) -> None:
        """Do as ordered. Raises `CannotDo`."""
        self._session = session
        match action:
            case Whisper():
                await _know(session, _WHISPERED.format(words=action.text))
            case Listen():
                await self._listeners().attend(action.room_name)
            case WhisperAloud():
                await self._whisper_aloud(session, action)
            case TakeOver():
                await self._take_over(session, action)
            case GiveBack():
                if self._taken is None:
                    raise CannotDo("The agent has this call")
                await self._give_back(session)

    def before(self, actions: Sequence[Action]) -> None:
        """Another process had the call, before this one's session starts: whoever has the call keeps it."""
        self._taken = last_take_over(actions)

    async def go_on(self, session: AgentSession[Any], before: list[Supervised]) -> None:
        """The session runs: what lasts is made to last. Whoever is gone has given the call back."""
        self._session = session
        listened = [one for one in before if isinstance(one, Listen)]
        had = self._taken
        for whispered in before:
            if isinstance(whispered, Whisper):
                await self.do(session, whispered)
        try:
            if listened:
                await self.do(session, listened[-1])
            if had is not None and had is self._taken:
                await self._listeners().hand_to(had.identity)
                self._overhearing.begin(session)
        except CannotDo:
            if had is not None and had is self._taken:
                await self._returned(session, had)

    async def aclose(self) -> None:
        """Nobody has anything to do with the call any more."""
        await self._overhearing.end(0)
        returning = [self._returning] if self._returning else []
        tasks = [*self._whispering.values(), *self._learning, *returning]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listeners(self) -> Listeners:
        if not isinstance(self._line, Attended):
            raise CannotDo("Nobody can listen to this line")
        return self._line.listeners

    async def _take_over(self, session: AgentSession[Any], action: TakeOver) -> None:
        if self._taken is not None and self._taken.identity == action.identity:
            self._taken = action
            return
        if (whispering := self._whispering.pop(action.identity, None)) is not None:
            whispering.cancel()
        await self._listeners().hand_to(action.identity)
        self._taken = action
        await self.on_change(session)
        self._overhearing.begin(session)

    async def _give_back(self, session: AgentSession[Any]) -> None:
        taken, self._taken = self._taken, None
        await self._listeners().take_back()
        await self.on_change(session)
        session.say(phrase("back", self._language))
        # Beside: what is given back is written down at once, whatever a recogniser still waits for.
        name = (taken and taken.name) or _SOMEBODY
        task = asyncio.create_task(self._learn(session, name), name="what was said in a take-over")
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)

    async def _learn(self, session: AgentSession[Any], name: str) -> None:
        """Let the agent know who had the call and what was said, unless somebody has it once more."""
        if self._taken is not None:
            return  # the same ears go on
        try:
            now_said = await self._overhearing.end()
            said = self._untold = [*self._untold, *now_said][-MOST_TOLD:]
            if self._taken is not None:
                return
            self._untold = []
            await _know(session, (_HEARD if said else _UNHEARD).format(name=name), said)
        except Exception:
            logger.exception("an agent does not know what was said in its place")

    def _left(self, left: Left) -> None:
        if (whispering := self._whispering.pop(left.identity, None)) is not None:
            whispering.cancel()
        if left.had_the_call and self._taken is not None and self._session is not None:
            self._returning = asyncio.create_task(
                self._returned(self._session, self._taken), name="a call that was given back"
            )

    async def _returned(self, session: AgentSession[Any], taken: TakeOver) -> None:
        self._tell(GiveBack(identity=taken.identity, name=taken.name, has_left=True))
        if taken.when_left == "end":
            self._end("supervisor_left")
            return
        try:
            await self._give_back(session)
        except Exception:
            logger.exception("a call was not given back")
            self._end("error: the agent could not go on")

    async def _whisper_aloud(self, session: AgentSession[Any], action: WhisperAloud) -> None:
        if (before := self._whispering.pop(action.identity, None)) is not None:
            before.cancel()
        if not action.is_on:
            return
        if self._taken is not None and self._taken.identity == action.identity:
            raise CannotDo("They talk to the caller: give the call back first")
        if (recogniser := along(session.stt, session.vad)) is None:
            raise CannotDo("This agent has no recogniser of its own: whisper in writing")
        microphone = await self._listeners().microphone(action.identity, HEARD_RATE)
        self._whispering[action.identity] = asyncio.create_task(
            self._understand(session, recogniser.stream(), microphone, action.name), name="a whisper"
        )

    async def _understand(
        self, session: AgentSession[Any], words: stt.RecognizeStream, microphone: Any, name: str
    ) -> None:
        async def listen() -> None:
            async for event in microphone:
                words.push_frame(event.frame)
            words.end_input()

        listening = asyncio.create_task(listen(), name="a whisperer's microphone")
        try:
            async for event in words:
                if event.type != stt.SpeechEventType.FINAL_TRANSCRIPT or not event.alternatives:
                    continue
                if said := event.alternatives[0].text.strip()[:LONGEST_WHISPER]:
                    action = Whisper(text=said, name=name)
                    await self.do(session, action)
                    self._tell(action)
        except Exception as error:  # noqa: BLE001 - the call goes on without it
            logger.warning("a whisper was not understood", extra={"error": type(error).__name__})
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await microphone.aclose()
            await words.aclose()


async def _know(session: AgentSession[Any], words: str, said: Sequence[Utterance] = ()) -> None:
    agent = session.current_agent
    knows = agent.chat_ctx.copy()
    for one in said:
        _add(knows, one)
    knows.add_message(role="system", content=words)
    await agent.update_chat_ctx(knows)


def _add(knows: ChatContext, said: Utterance) -> None:
    role: Literal["user", "assistant"] = "user" if said.role == "user" else "assistant"
    knows.add_message(role=role, content=said.text, created_at=said.started_at.timestamp())
