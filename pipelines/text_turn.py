"""The same agent in text: same words, same functions, same knowledge, no line and no sound.

message ──► [a session without audio] ──► pieces, as the engine writes them ──► Done(memory)
   ▲                                                                               │
   └──────────────────────── the next turn, here or in another process ────────────┘
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from livekit.agents import AgentSession, ErrorEvent, ToolExecutionUpdatedEvent, llm
from livekit.agents.llm import FunctionCall
from livekit.agents.voice import io
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted

from pipelines import follow_ups, resuming
from pipelines.agent import Opening, SpokenAgent
from pipelines.assemble import forget_together, opening_of, retrieval_of
from pipelines.choosing import Chooser, name_of
from pipelines.contract.brief import CallBrief
from pipelines.local.parts import Local
from pipelines.outbound import Guard
from pipelines.phrases import phrase
from pipelines.providers import ProviderSettings
from pipelines.script import Script
from pipelines.tools import toolbox
from pipelines.tools.call_control import CallControl
from pipelines.tools.developer import Functions
from pipelines.tools.knowledge import Finds, search_tool

TURN_SECONDS = 90.0
MAX_ITEMS = 80
"""Messages and function calls that an engine is told of; older ones are forgotten."""
MAX_MESSAGE = 20_000
_MAX_WAITING = 1_000


@dataclass(frozen=True)
class Piece:
    """Some more of the answer. Joined, the pieces of a turn are the answer."""

    text: str


@dataclass(frozen=True)
class Used:
    """A function ran. Exactly one of `result` and `error` is set."""

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    function_call_id: str = field(default="", compare=False)


@dataclass(frozen=True)
class Noted:
    """Something is not as the agent's owner asked, with a code; the talk goes on."""

    code: str
    message: str


@dataclass(frozen=True)
class Done:
    """The end of a turn. `memory` is all that the next one needs to know, as JSON."""

    text: str
    memory: dict[str, Any]
    error: str = ""
    """Why there was no answer; `text` then says so in the agent's language."""
    usage: dict[str, float] = field(default_factory=dict)
    """`llm_input_tokens`, `llm_output_tokens`."""
    engine: str = ""
    """What thought, as `provider/model`."""


Event = Piece | Used | Noted | Done


@dataclass(frozen=True)
class TextHost:
    """What a text talk needs of whoever holds it; everything but the settings may be left out."""

    settings: ProviderSettings
    functions: Functions = field(default_factory=Functions)
    knowledge: Finds | None = None
    guard: Guard | None = None
    control: CallControl | None = None
    local: Local | None = None
    engine: llm.LLM[Any] | None = None
    """Thinks in the place of what the agent asks for, in tests."""
    begin: Callable[[FunctionCall], Awaitable[str | None]] | None = None
    """Asked before a function runs (`Rails.begin`)."""


async def text_turn(
    brief: CallBrief,
    message: str,
    host: TextHost,
    *,
    memory: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> AsyncGenerator[Event, None]:
    """One turn: what the person wrote, and the answer as it is written. `Done` comes last, always once.

    Without a message the agent opens the talk, or answers what the brief's transcript says was asked and
    not answered. `memory` is that of the turn before; without one the
    brief's transcript is what was said so far. Nothing is raised for an engine or a function that fails:
    `Done` says so. Leaving the iteration early throws the rest of the answer away.
    """
    script = Script.of(brief, now or datetime.now(UTC).astimezone())
    notes = [Noted("variable_unknown", f"The variable {name} has no value.") for name in script.unknown]
    chooser = Chooser(
        brief.agent, host.settings, host.local or Local(host.settings), lambda *it: notes.append(Noted(*it))
    )
    thinks, question, is_scripted = (
        chooser.mind() if host.engine is None else (host.engine, follow_ups.question, False)
    )
    box = toolbox.build(
        script.spoken_by(brief.agent),
        host.functions,
        call_id=brief.call_id,
        guard=host.guard,
        control=host.control,
    )
    notes += [Noted(code, sentence) for code, sentence in box.warnings]
    retrieval = retrieval_of(brief.agent, host.knowledge)
    forget_together(host.knowledge, retrieval, [thinks])
    said_before = llm.ChatContext.from_dict(memory) if memory is not None else resuming.context(brief)
    box.rails.remember(said_before)
    box.rails.begin = host.begin
    agent = SpokenAgent(
        instructions=script.instructions,
        tools=[*box.tools, *([search_tool(retrieval.ask)] if retrieval and retrieval.is_asked else ())],
        opening=Opening(),
        retrieval=retrieval,
        question=question,
        language=brief.agent.language,
        said_before=said_before.truncate(max_items=MAX_ITEMS),
    )
    opening = opening_of(brief, script.begin, is_scripted)
    if memory is None and resuming.owes_answer(brief):
        opening = Opening(then_answers=True)
    turn = _Turn(agent, thinks, notes, name_of(thinks) if host.engine is None else "")
    box.rails.warn = lambda code, sentence: turn.put(Noted(code, sentence))
    try:
        if more := await box.connect():
            await agent.update_tools([*agent.tools, *more])
        async with contextlib.aclosing(turn.events(message[:MAX_MESSAGE].strip(), opening)) as events:
            async for event in events:
                yield event
    finally:
        await box.aclose()
        if host.engine is None:
            await thinks.aclose()


class _Turn:
    def __init__(self, agent: SpokenAgent, thinks: llm.LLM[Any], notes: list[Noted], engine: str) -> None:
        self._agent, self._thinks, self._engine = agent, thinks, engine
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(_MAX_WAITING)
        self._running: dict[str, FunctionCall] = {}
        self._text = self._error = ""
        self._is_whole = False
        for note in notes:
            self.put(note)

    def put(self, event: Event) -> None:
        """Hand on what may be missed: a note, a function that ran."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(event)

    async def said(self, text: str) -> None:
        """The agent wrote this; whoever reads slowly is waited for."""
        if self._is_whole and self._text and not (self._text[-1].isspace() or text[:1].isspace()):
            text = f" {text}"  # "One moment." and what the function brought are two messages
        self._is_whole = False
        self._text += text
        await self._queue.put(Piece(text))

    def message_ended(self) -> None:
        """What is written next is another message of the same answer."""
        self._is_whole = True

    async def events(self, message: str, opening: Opening) -> AsyncGenerator[Event, None]:
        """The turn's events, with its end."""
        async with AgentSession[Any](llm=self._thinks) as session:
            session.output.transcription = _Pieces(self)
            session.on("tool_execution_updated", self._tool_updated)
            session.on("error", self._failed)
            await session.start(self._agent, record=False)
            answering = asyncio.create_task(self._answer(session, message, opening))
            try:
                while (event := await self._queue.get()) is not None:
                    yield event
                await answering
            finally:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)
            yield self._done(session)

    async def _answer(self, session: AgentSession[Any], message: str, opening: Opening) -> None:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                if message:
                    await session.run(user_input=message)
                elif opening.then_answers:
                    await session.generate_reply()
                elif opening.words:
                    await session.say(opening.words)
                elif opening.instructions:
                    await session.generate_reply(instructions=opening.instructions)
        except TimeoutError:
            self._error = "error: the agent did not answer"
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told, and the end comes
            self._error = self._error or f"error: {type(error).__name__}"
        finally:
            await self._queue.put(None)

    def _done(self, session: AgentSession[Any]) -> Done:
        if self._error and not self._text:
            self._text = phrase("apology", self._agent.language)
        memory = self._agent.chat_ctx.copy(exclude_instructions=True, exclude_config_update=True)
        usage = {"llm_input_tokens": 0.0, "llm_output_tokens": 0.0}
        for model in session.usage.model_usage:
            usage["llm_input_tokens"] += getattr(model, "input_tokens", 0)
            usage["llm_output_tokens"] += getattr(model, "output_tokens", 0)
        kept = memory.truncate(max_items=MAX_ITEMS).to_dict(exclude_timestamp=False)
        return Done(self._text.strip(), kept, self._error, usage, self._engine)

    def _failed(self, event: ErrorEvent) -> None:
        if not getattr(event.error, "recoverable", True):
            self._error = f"error: {type(getattr(event.error, 'error', event.error)).__name__}"

    def _tool_updated(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            self._running[update.function_call.call_id] = update.function_call
        elif isinstance(update, ToolCallEnded) and update.call_id in self._running:
            call = self._running.pop(update.call_id)
            arguments = json.loads(call.arguments or "{}")
            message = update.message or ""
            if update.status == "done":
                self.put(Used(call.name, arguments, result=message, function_call_id=call.call_id))
            else:
                error = message or update.status
                self.put(Used(call.name, arguments, error=error, function_call_id=call.call_id))


class _Pieces(io.TextOutput):
    def __init__(self, turn: _Turn) -> None:
        super().__init__(label="Text", next_in_chain=None)
        self._turn = turn

    async def capture_text(self, text: str) -> None:
        """Some more of what the agent writes."""
        await self._turn.said(text)

    def flush(self) -> None:
        """A message is whole."""
        self._turn.message_ended()
