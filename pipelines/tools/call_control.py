"""What an agent may do with the call itself: end, transfer, hand over, hold, digits, a callback.

The host that runs the call implements `CallControl`; what its line cannot do is said to the caller in
words, and a callback is offered in its place.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from livekit.agents import Agent, AgentSession, RunContext
from livekit.agents.llm import RawFunctionTool, StopResponse, ToolResult, function_tool

from pipelines.agent_config import AgentConfig, TransferTarget
from pipelines.contract.actions import HoldSound
from pipelines.function_config import RunsLike
from pipelines.goodbye import say_composed
from pipelines.phrases import OFFER_CALLBACK, phrase
from pipelines.tools.policy import Failed, Rails, canonical

Ability = Literal["transfer", "hold", "send_digits", "collect_digits"]

logger = logging.getLogger(__name__)

MAX_DIGITS = 32
GOODBYE_SECONDS = 12.0
HOLD_SPARE_SECONDS = 5
"""A hold ends with its function; by itself only where that has died meanwhile."""
MOST_HANDOVERS = 5
"""In one call: two agents that hand it to each other must not keep a caller for ever."""
_DIGITS = re.compile(r"[0-9*#A-Dw,]{1,32}")
_RUNS = RunsLike(timeout_ms=20_000)
_RINGS = RunsLike(timeout_ms=50_000)
"""Somebody is called, and may take their time."""


class _Asks(RunsLike):
    """Somebody is called, told what it is about, and asked, twice."""

    timeout_ms: int = 180_000


_WAITS = RunsLike(timeout_ms=60_000, acts=False, on_interruption="cancel")


class CannotDo(Exception):
    """This line cannot do that"""


class CallControl(Protocol):
    """What the host of a call can do with it. Each method raises `CannotDo` with a sentence."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the line can do at this moment."""

    def end(self, reason: str) -> None:
        """End the call; what is being said is not waited for."""

    async def transfer(self, target: TransferTarget, session: AgentSession[Any] | None = None) -> None:
        """Hand the caller to a human and leave.

        A warm target is asked first, where the line can and there is a session to ask with.
        """

    async def hold(self, *, is_on: bool, sound: HoldSound = "music", seconds: int = 60) -> None:
        """Let the other side wait, for so long at most and hearing this, or come back."""

    async def send_digits(self, digits: str) -> None:
        """Send tones to the other side."""

    async def digit(self) -> str:
        """The next key that the caller presses."""

    async def agent_for(self, target: TransferTarget, so_far: Agent) -> Agent:
        """Another agent of the same owner, ready to go on with what was said so far."""


@dataclass(frozen=True)
class _Builtin:
    description: str
    properties: dict[str, Any]
    required: tuple[str, ...]
    how: RunsLike
    work: Callable[[RunContext[Any], dict[str, Any]], Awaitable[Any]]


def builtins(agent: AgentConfig, control: CallControl, rails: Rails) -> list[RawFunctionTool[..., Any]]:
    """The built-in functions that the agent asks for."""
    made = _Builtins(agent, control).by_name()
    wanted = ["collect_digits" if name == "dtmf_input" else name for name in agent.engine.builtin_functions]
    if "transfer_call" in wanted:
        wanted.append("request_callback")  # what is offered where a transfer is not possible
    return [_as_tool(name, made[name], rails) for name in dict.fromkeys(wanted) if name in made]


def _as_tool(name: str, builtin: _Builtin, rails: Rails) -> RawFunctionTool[..., Any]:
    async def run(raw_arguments: dict[str, Any], context: RunContext[Any]) -> Any:
        async def work(_key: str) -> Any:
            if missing := [field for field in builtin.required if not raw_arguments.get(field)]:
                raise Failed(f"{name} needs {', '.join(missing)}.")
            try:
                return await builtin.work(context, raw_arguments)
            except CannotDo as error:
                raise Failed(
                    f"{error}. {OFFER_CALLBACK if name == 'transfer_call' else ''}".strip()
                ) from None

        # An agent that takes over, or a goodbye, comes in its own place or not at all.
        return await rails.run(name, builtin.how, context, canonical(raw_arguments), work, can_answer=False)

    parameters = {
        "type": "object",
        "properties": builtin.properties,
        "required": list(builtin.required),
        "additionalProperties": False,
    }
    return function_tool(
        run, raw_schema={"name": name, "description": builtin.description, "parameters": parameters}
    )


def _text(description: str, choices: Iterable[str] = ()) -> dict[str, Any]:
    of = list(choices)
    return {"type": "string", "description": description, **({"enum": of} if of else {})}


class _Builtins:
    def __init__(self, agent: AgentConfig, control: CallControl) -> None:
        self._agent = agent
        self._control = control
        self._targets = {target.name: target for target in agent.transfer_targets}

    def by_name(self) -> dict[str, _Builtin]:
        humans = [name for name, target in self._targets.items() if target.kind != "agent"]
        agents = [name for name, target in self._targets.items() if target.kind == "agent"]
        made = {
            "end_call": _Builtin(
                "End the call, once the person has said goodbye or nothing is left to do. Say nothing "
                "before: a goodbye is said.",
                {"reason": _text("Why the call ends, in a few words.")},
                (),
                _RUNS,
                self._end,
            ),
            "hold_call": _Builtin(
                "Wait in silence, when the person asks for a moment; it ends when they speak or press a key. "
                "With music, put them on hold because you need the time: say so before.",
                {
                    "seconds": {"type": "integer", "minimum": 1, "maximum": 55, "description": "At most."},
                    "music": {"type": "boolean", "description": "On hold: nobody hears the other."},
                },
                (),
                _WAITS,
                self._hold,
            ),
            "collect_digits": _Builtin(
                "Let the person type digits on their keypad: a PIN, a customer number. Ask for them first.",
                {
                    "count": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MAX_DIGITS,
                        "description": "How many; without it, until # or a pause of four seconds.",
                    },
                },
                (),
                _WAITS,
                self._collect,
            ),
            "send_digits": _Builtin(
                "Press keys, to get through another system's menu.",
                {"digits": _text("Digits, * and #; w waits half a second.")},
                ("digits",),
                _RUNS,
                self._send,
            ),
            "request_callback": _Builtin(
                "Note that somebody shall call the person back.",
                {
                    "phone_number": _text("Where to call."),
                    "when": _text("When it suits them, in their words."),
                    "reason": _text("What it is about."),
                },
                ("phone_number",),
                _RUNS,
                _callback,
            ),
        }
        if humans:
            made["transfer_call"] = _Builtin(
                "Transfer the person to a human. Tell them before.",
                {"target": _text("To whom.", humans)},
                ("target",),
                _Asks() if any(one.mode == "warm" for one in self._targets.values()) else _RINGS,
                self._transfer,
            )
        if agents:
            made["hand_over"] = _Builtin(
                "Hand the conversation to another agent, who knows what was said so far.",
                {"target": _text("To which.", agents)},
                ("target",),
                _RUNS,
                self._hand_over,
            )
        return made

    def _target(self, arguments: dict[str, Any]) -> TransferTarget:
        if (target := self._targets.get(str(arguments["target"]))) is None:
            raise Failed(f"There is no such target; there are {', '.join(self._targets)}.")
        return target

    async def _end(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        goodbye, session = self._agent.goodbye, context.session
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await context.wait_for_playout()
                is_composed = goodbye.mode == "dynamic" or not goodbye.message
                if not is_composed or not await say_composed(session, self._agent.language, goodbye.prompt):
                    written = goodbye.message or phrase("goodbye", self._agent.language)
                    await session.say(written, allow_interruptions=False).wait_for_playout()
        except (TimeoutError, RuntimeError) as error:
            logger.info("a goodbye was not said", extra={"error": type(error).__name__})
        # Whatever hinders the goodbye, a call that shall end ends.
        self._control.end("agent_hangup")
        raise StopResponse

    async def _transfer(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        target = self._target(arguments)
        if "transfer" not in self._control.abilities:
            raise CannotDo("This line cannot be transferred")
        await context.wait_for_playout()
        await self._control.transfer(target, context.session)
        raise StopResponse

    async def _hand_over(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        await context.wait_for_playout()
        here = context.session.current_agent
        return await self._control.agent_for(self._target(arguments), here), f"You took over: {here.id}"

    async def _hold(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        if "hold" not in self._control.abilities:
            raise CannotDo("This line cannot be held")
        await context.wait_for_playout()
        seconds = min(55, max(1, int(arguments.get("seconds") or 30)))
        is_held = bool(arguments.get("music"))
        if is_held:
            await self._control.hold(is_on=True, seconds=seconds + HOLD_SPARE_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._control.digit()
        except TimeoutError:
            pass
        finally:
            if is_held:
                await self._control.hold(is_on=False)
        return "The person is back on the line; ask whether they are ready."

    async def _collect(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        if "collect_digits" not in self._control.abilities:
            raise CannotDo("No digits can be typed on this line: ask the person to say them")
        await context.wait_for_playout()
        most = min(MAX_DIGITS, max(1, int(arguments.get("count") or MAX_DIGITS)))
        typed = ""
        try:
            while len(typed) < most:
                async with asyncio.timeout(20.0 if not typed else 4.0):
                    digit = await self._control.digit()
                if digit == "#":
                    break
                typed += digit
        except TimeoutError:
            pass
        return f"The person typed {' '.join(typed)}." if typed else "The person typed nothing."

    async def _send(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        digits = str(arguments["digits"])
        if _DIGITS.fullmatch(digits) is None:
            raise Failed(f"digits: at most {MAX_DIGITS} of 0-9, *, #, A-D and w.")
        if "send_digits" not in self._control.abilities:
            raise CannotDo("No digits can be sent on this line")
        await context.wait_for_playout()
        await self._control.send_digits(digits)
        return ToolResult(f"Sent {digits}. Wait for what the other side says.", reply_required=False)


async def _callback(context: RunContext[Any], arguments: dict[str, Any]) -> Any:
    # The event of this very call is the request: it is on disk before the caller hears the answer.
    return "Noted: somebody will call back."
