"""One policy for every function, whatever it is made of: deadline, filler, barge-in, repeats, plain errors.

engine ─► too many? repeated? ─► work ─────────────┬─ result ─► text, bounded ─► engine
                                 ├ filler, spoken   ├─ deadline ─► a sentence ──► engine
                                 └ caller speaks: finish, or cancel
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import Agent, RunContext, UserInputTranscribedEvent
from livekit.agents.llm import (
    ChatContext,
    FunctionCall,
    FunctionCallOutput,
    StopResponse,
    ToolError,
    ToolResult,
)
from pydantic_core import PydanticSerializationError, to_json

from pipelines.function_config import RunsLike
from pipelines.tools.stranger import LeavesTheProcess, NoThreadLeft

logger = logging.getLogger(__name__)

PER_TURN = 5
MAX_RESULT = 8_000
"""Characters of a result: more would push what was said out of an engine's memory."""
LET_GO_SECONDS = 1.0
"""What a cancelled function has to tidy up; one that stays longer is left behind."""
KEY = "idempotency_key"
"""Where a function that acts finds its key: `context.function_call.extra[KEY]`."""
MAX_REMEMBERED = 500
RELEASE_SECONDS = 0.7
"""A person who speaks is not done sooner; until then the result may come in its own place."""

_GOES_ON = "{name} still runs; its result follows by itself. Answer what the person says now."

Work = Callable[[str], Awaitable[Any]]
"""What a function does, given its idempotency key."""


class Failed(ToolError):
    """A function that gave no result. The engine is told `message`, the record also `detail`."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self._detail = detail

    def __str__(self) -> str:
        return f"{self.message} ({self._detail})"[:1000] if self._detail else self.message


@dataclass
class _Ran:
    times: int = 0
    failures: int = 0
    result: Any = None
    task: "asyncio.Future[Any] | None" = None


@dataclass
class Rails:
    """What all functions of one call share: how many have run, and which."""

    call_id: str = ""
    per_turn: int = PER_TURN
    in_all: int | None = None
    warn: Callable[[str, str], None] = lambda code, message: None
    """Told of what an agent's owner should know, with a code."""
    begin: Callable[[FunctionCall], Awaitable[str | None]] | None = None
    """Asked before anything runs; text that it gives is the result, and nothing runs. May raise `Failed`."""
    _turn: str = ""
    _in_turn: int = 0
    _ran_in_all: int = 0
    _of_turn: dict[str, _Ran] = field(default_factory=dict)
    _running: dict[str, "asyncio.Future[Any]"] = field(default_factory=dict)
    _succeeded: dict[str, int] = field(default_factory=dict)
    _left_behind: set["asyncio.Future[Any]"] = field(default_factory=set)
    _blockers: set[str] = field(default_factory=set)

    def remember(self, so_far: ChatContext) -> None:
        """What succeeded earlier in this talk, in another turn or process, was another call of it."""
        calls = {item.call_id: item for item in so_far.items if isinstance(item, FunctionCall)}
        for item in so_far.items:
            if isinstance(item, FunctionCallOutput) and not item.is_error and item.call_id in calls:
                call = calls[item.call_id]
                same = f"{call.name} {canonical(call.arguments)}"
                self._succeeded[same] = self._succeeded.get(same, 0) + 1

    def blocked(self, name: str, seconds: float) -> None:
        """A function held the loop; it is named once a call."""
        if name not in self._blockers:
            self._blockers.add(name)
            self.warn(
                "function_blocks",
                f"The function {name} held up the whole process for {seconds * 1000:.0f} ms: let it await, "
                "or write it without async, then it gets a thread of its own.",
            )

    async def run(
        self,
        name: str,
        how: RunsLike,
        context: RunContext[Any] | None,
        arguments: str,
        work: Work,
        *,
        can_answer: bool = True,
    ) -> Any:
        """Do the work as `how` says. Raises `Failed` with words for the engine, and nothing else.

        `can_answer` lets the engine answer a person who speaks while it runs; its result comes later then.
        """
        same = f"{name} {arguments}"
        if (running := self._running.get(same)) is not None:
            return await asyncio.shield(running)  # asked again because the caller spoke meanwhile
        ran = self._admit(name, same, context)
        if how.acts and ran.times and not ran.failures:
            ran.times += 1
            if ran.times > 2:
                raise Failed(f"{name} was called again and again with the same arguments: answer the person.")
            return ran.result
        ran.times += 1
        self._in_turn += 1
        self._ran_in_all += 1
        key = self._key(same)
        if context is not None:
            context.function_call.extra[KEY] = key
        task = asyncio.ensure_future(_settled(name, self._begun(context, work, key)))
        self._running[same] = task
        task.add_done_callback(lambda _: self._running.pop(same, None))
        try:
            ran.result = await self._finished(name, how, context, task, can_answer)
        except Failed:
            ran.failures += 1
            raise
        ran.failures = 0
        if how.acts and len(self._succeeded) < MAX_REMEMBERED:
            self._succeeded[same] = self._succeeded.get(same, 0) + 1
        return ran.result

    async def _begun(self, context: RunContext[Any] | None, work: Work, key: str) -> Any:
        if self.begin is not None and context is not None:
            known = await self.begin(context.function_call)
            if known is not None:
                return known
        return await work(key)

    def _admit(self, name: str, same: str, context: RunContext[Any] | None) -> _Ran:
        turn = context.speech_handle.id if context is not None else ""
        if turn != self._turn or not turn:
            self._turn, self._in_turn, self._of_turn = turn, 0, {}
        ran = self._of_turn.setdefault(same, _Ran())
        if ran.failures >= 2:
            raise Failed(f"{name} failed twice with these arguments: do not call it again, tell the person.")
        if self._in_turn >= self.per_turn:
            raise Failed(f"No more than {self.per_turn} functions in one turn: answer with what you have.")
        if self.in_all is not None and self._ran_in_all >= self.in_all:
            raise Failed("No more functions in this call: answer with what you have.")
        return ran

    def _key(self, same: str) -> str:
        """The same for each retry, in this process or after it died; another once it has succeeded."""
        of = f"{self.call_id}\n{same}\n{self._succeeded.get(same, 0)}"
        return hashlib.sha256(of.encode()).hexdigest()[:32]

    async def _finished(
        self,
        name: str,
        how: RunsLike,
        context: RunContext[Any] | None,
        task: "asyncio.Future[Any]",
        can_answer: bool,
    ) -> Any:
        seconds = how.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds), _filler(how, context):
                if context is not None:
                    await _until_spoken_to(context, task)
                if not task.done() and how.on_interruption == "finish":
                    await asyncio.wait({task}, timeout=RELEASE_SECONDS)
                    if not task.done() and context is not None and can_answer:
                        # Else what the person says would wait for its answer until this is done.
                        await context.update(_GOES_ON.format(name=name), silent=True)
                    await asyncio.wait({task})
        except TimeoutError:
            await self._let_go(task)
            raise Failed(f"{name} took longer than {seconds:g} seconds and was given up.") from None
        except asyncio.CancelledError:
            await self._let_go(task)
            raise
        if not task.done():
            await self._let_go(task)
            # What the person said gets the answer; a second one about this would talk over it.
            return ToolResult(
                f"{name} was stopped because the person spoke; it may have done nothing.",
                reply_required=False,
            )
        return task.result()

    async def _let_go(self, task: "asyncio.Future[Any]") -> None:
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=LET_GO_SECONDS)
        if pending:
            self._left_behind.add(task)
            task.add_done_callback(self._left_behind.discard)
        elif not task.cancelled():
            task.exception()


async def _settled(name: str, work: Awaitable[Any]) -> Any:
    try:
        return presentable(name, await work)
    except (ToolError, StopResponse):
        raise
    except LeavesTheProcess as error:
        raise Failed(f"{name} failed.", str(LeavesTheProcess.__doc__)) from error
    except NoThreadLeft as error:
        raise Failed(f"{name} cannot run now: too many functions hang.") from error
    except Exception as error:
        # Its own words may hold a password or an address: for the record, not for the engine to speak.
        logger.warning("a function failed", extra={"function": name, "error": type(error).__name__})
        raise Failed(f"{name} failed; nothing more is known.", f"{type(error).__name__}: {error}") from error


def presentable(name: str, output: Any) -> Any:
    """A result as an engine reads it: text, or JSON as text, bounded. Agents and LiveKit's own pass.

    Raises `Failed` for what is neither text nor JSON.
    """
    if isinstance(output, ToolResult):
        return ToolResult(presentable(name, output.output), reply_required=output.reply_required)
    if output is None or isinstance(output, Agent):
        return output
    if isinstance(output, tuple) and any(isinstance(part, Agent) for part in output):
        return tuple(presentable(name, part) for part in output)
    if isinstance(output, bool | int | float):
        return output
    if isinstance(output, str):
        text = output
    else:
        try:
            text = to_json(output, inf_nan_mode="null").decode()
        except (PydanticSerializationError, ValueError, RecursionError):
            raise Failed(
                f"{name} returned something that is neither text nor JSON.", type(output).__name__
            ) from None
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text).encode("utf-8", "replace").decode()
    if len(text) <= MAX_RESULT:
        return text
    return f"{text[:MAX_RESULT]} … (cut: the result has {len(text)} characters)"


async def _until_spoken_to(context: RunContext[Any], task: "asyncio.Future[Any]") -> None:
    """Until it is done or the person says something: words count, a barking dog does not."""
    spoke: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def heard(event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip() and not spoke.done():
            spoke.set_result(None)

    either = asyncio.ensure_future(asyncio.wait({task, spoke}, return_when=asyncio.FIRST_COMPLETED))
    context.session.on("user_input_transcribed", heard)
    try:
        await context.speech_handle.wait_if_not_interrupted([either])
    finally:
        context.session.off("user_input_transcribed", heard)
        either.cancel()


@contextlib.asynccontextmanager
async def _filler(how: RunsLike, context: RunContext[Any] | None) -> AsyncIterator[None]:
    if context is None or not (how.speak_during_execution or how.speak_prompt):
        yield
        return
    session = context.session

    def say(_step: int) -> Any:
        if how.speak_during_execution:
            return session.say(how.speak_during_execution)
        return session.generate_reply(instructions=how.speak_prompt, tool_choice="none")

    async with context.with_filler(say, delay=how.speak_after_ms / 1000):
        yield


def canonical(arguments: Any) -> str:
    """Arguments as text, the same for the same ones; text is read as JSON first."""
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError):
            arguments = json.loads(arguments or "{}")
    return json.dumps(arguments, sort_keys=True, default=str, ensure_ascii=False)
