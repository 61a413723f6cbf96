"""What an agent may do with the line of its call: hold it, mute itself, take and send digits."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from livekit.agents import RunContext
from livekit.agents.llm import ToolResult

from pipelines.function_config import RunsLike
from pipelines.tools.policy import Failed

if TYPE_CHECKING:  # which asks for all of these
    from pipelines.tools.call_control import CallControl

MAX_DIGITS = 32
HOLD_SPARE_SECONDS = 5
"""A hold ends with its function; by itself only where that has died meanwhile."""
MUTE_SECONDS, MAX_MUTE_SECONDS = 300, 3600
RUNS = RunsLike(timeout_ms=20_000)
DIGITS = re.compile(r"[0-9*#A-Dw,]{1,32}")
_WAITS = RunsLike(timeout_ms=60_000, acts=False, on_interruption="cancel")


@dataclass(frozen=True)
class Builtin:
    """A function as an engine sees it, and what it does."""

    description: str
    properties: dict[str, Any]
    required: tuple[str, ...]
    how: RunsLike
    work: Callable[[RunContext[Any], dict[str, Any]], Awaitable[Any]]


def text(description: str, choices: Iterable[str] = ()) -> dict[str, Any]:
    """The schema of words, or of one of these."""
    of = list(choices)
    return {"type": "string", "description": description, **({"enum": of} if of else {})}


def on_the_line(control: "CallControl") -> dict[str, Builtin]:
    """By their names. Where the line has no such thing, they say so."""
    does = _OnLine(control)
    return {
        "hold_call": Builtin(
            "Wait in silence, when the person asks for a moment; it ends when they speak or press a key. "
            "With music, put them on hold because you need the time: say so before.",
            {
                "seconds": {"type": "integer", "minimum": 1, "maximum": 55, "description": "At most."},
                "music": {"type": "boolean", "description": "On hold: nobody hears the other."},
            },
            (),
            _WAITS,
            does.hold,
        ),
        "mute": Builtin(
            "Stay silent and go on listening: while others talk to each other, or you wait in a queue. "
            "Until unmute nobody hears what you say. Say so before, if somebody is there.",
            {
                "seconds": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_MUTE_SECONDS,
                    "description": "At most.",
                },
            },
            (),
            RUNS,
            does.mute,
        ),
        "unmute": Builtin(
            "Be heard again, as soon as somebody speaks to you or the wait is over; then say something.",
            {},
            (),
            RUNS,
            does.unmute,
        ),
        "collect_digits": Builtin(
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
            does.collect,
        ),
        "send_digits": Builtin(
            "Press keys, to get through another system's menu.",
            {"digits": text("Digits, * and #; w waits half a second.")},
            ("digits",),
            RUNS,
            does.send,
        ),
    }


class _OnLine:
    def __init__(self, control: "CallControl") -> None:
        self._control = control

    async def hold(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        if "hold" not in self._control.abilities:
            raise Failed("This line cannot be held.")
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

    async def mute(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        await context.wait_for_playout()
        seconds = min(MAX_MUTE_SECONDS, max(1, int(arguments.get("seconds") or MUTE_SECONDS)))
        await self._control.mute(is_on=True, seconds=seconds)
        told = "You are muted. Answer with nothing, except unmute once somebody speaks to you."
        return ToolResult(told, reply_required=False)

    async def unmute(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        await self._control.mute(is_on=False)
        return "You are heard again."

    async def collect(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        if "collect_digits" not in self._control.abilities:
            raise Failed("No digits can be typed on this line: ask the person to say them.")
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

    async def send(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        digits = str(arguments["digits"])
        if DIGITS.fullmatch(digits) is None:
            raise Failed(f"digits: at most {MAX_DIGITS} of 0-9, *, #, A-D and w.")
        if "send_digits" not in self._control.abilities:
            raise Failed("No digits can be sent on this line.")
        await context.wait_for_playout()
        await self._control.send_digits(digits)
        return ToolResult(f"Sent {digits}. Wait for what the other side says.", reply_required=False)
