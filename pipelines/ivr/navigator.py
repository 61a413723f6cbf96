"""Gets a call through menus to a person: hears, asks an engine what to do, presses keys, stops in time.

heard    "For appointments, press one."   ♪♪♪♪♪♪♪   "Anna speaking, how can I help?"
engine   press_keys 1                     ▁▁▁▁▁▁▁   person_answered ──► the agent begins
                └ refused, repeated: the next menu; too many of them, or too long a wait: it gives up
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from livekit.agents import llm
from rapidfuzz import fuzz

from pipelines.agent_config import IvrNavigation
from pipelines.ivr.prompt import SILENCE, prompt, tools
from pipelines.tools.call_control import CannotDo
from pipelines.tools.line_functions import DIGITS

logger = logging.getLogger(__name__)

QUIET_SECONDS = 4.0
"""No menu pauses for so long between options, and no person waits longer for an answer."""
DECIDE_SECONDS = 8.0
MOST_HEARD = 64
MOST_KEPT = 20
"""Of what was heard and done, an engine is reminded of so much."""
MOST_WORDS = 100
SAME = 88.0
_LEAST_REPEATED = 12
"""Characters: "Please hold" comes again without a menu coming again."""

Kind = Literal["person", "voicemail", "gave_up"]


@dataclass(frozen=True)
class Outcome:
    """How it went. `reason` is empty for a person."""

    kind: Kind
    reason: str = ""
    menus: int = 0
    """That were answered, or heard again."""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Step:
    name: str
    arguments: dict[str, Any]


class Navigator:
    """Of one call. `heard` while `run` runs, which returns once somebody or nobody is to be talked with."""

    def __init__(
        self,
        mind: llm.LLM[Any],
        config: IvrNavigation,
        language: str,
        press: Callable[[str], Awaitable[None]],
        say: Callable[[str], Awaitable[None]],
        *,
        is_talking: Callable[[], bool] = lambda: False,
        is_paused: Callable[[], bool] = lambda: False,
        pressed: Callable[[str], None] = lambda digits: None,
    ) -> None:
        """`is_talking`: the other side makes sounds now. `is_paused`: somebody else has the call; time stands
        still. `pressed` is told of keys for the record."""
        self._mind, self._config = mind, config
        self._press, self._say, self._pressed = press, say, pressed
        self._is_talking, self._is_paused = is_talking, is_paused
        self._prompt = llm.ChatMessage(role="system", content=[prompt(config.goal, language)])
        self._so_far: deque[list[llm.ChatItem]] = deque(maxlen=MOST_KEPT)
        self._left = config.max_wait_ms / 1000
        self._words: asyncio.Queue[tuple[str, float]] = asyncio.Queue(MOST_HEARD)
        self._acted_at = 0.0
        self._since: list[str] = []
        """What was heard since the last key."""
        self._owes_silence = False
        self._menus = 0
        self._keys: list[str] = []

    def heard(self, words: str, began_at: float) -> None:
        """The other side said this, from `began_at` on (`time.time()`)."""
        if self._words.full():
            self._words.get_nowait()
        self._words.put_nowait((words, began_at))

    async def run(self) -> Outcome:
        """Get through."""
        while True:
            words = await self._next()
            if words is None:
                return self._over("gave_up", "ivr_wait_limit")
            step = await self._decide(words)
            if (outcome := await self._take(step, words)) is not None:
                return outcome
            if self._menus >= self._config.max_menus:
                return self._over("gave_up", "ivr_too_many_menus")

    async def _take(self, step: _Step, words: str) -> Outcome | None:
        match step.name:
            case "person_answered":
                return self._over("person")
            case "machine_answered":
                return self._over("voicemail", "voicemail")
            case "give_up":
                return self._over("gave_up", "ivr_nobody_there")
            case "press_keys":
                digits = str(step.arguments.get("digits", "")).replace(" ", "")
                if DIGITS.fullmatch(digits) is None:
                    return None
                try:
                    await self._press(digits)
                except CannotDo:
                    return self._over("gave_up", "ivr_no_keys")
                self._keys.append(digits)
                self._pressed(digits)
                self._next_menu()
            case "say_words":
                if said := str(step.arguments.get("words", "")).strip()[:MOST_WORDS]:
                    await self._say(said)
                    self._next_menu()
            case _:
                if step.arguments.get("heard") == "menu" and self._is_again(words):
                    self._menus, self._since = self._menus + 1, []
                self._since.append(words)
        return None

    def _next_menu(self) -> None:
        self._acted_at, self._menus, self._since = time.time(), self._menus + 1, []
        self._owes_silence = False

    def _is_again(self, words: str) -> bool:
        is_long = len(words) >= _LEAST_REPEATED and words != SILENCE
        return is_long and any(fuzz.ratio(words, before) >= SAME for before in self._since)

    def _over(self, kind: Kind, reason: str = "") -> Outcome:
        return Outcome(kind, reason, self._menus, tuple(self._keys))

    async def _next(self) -> str | None:
        """What is heard next, or that nothing is; None when it has lasted too long."""
        quiet = 0.0
        while self._left > 0:
            began = time.monotonic()
            try:
                words, began_at = await asyncio.wait_for(
                    self._words.get(), min(QUIET_SECONDS / 8, self._left)
                )
            except TimeoutError:
                if self._is_paused():
                    quiet = 0.0
                    continue
                passed = time.monotonic() - began
                self._left -= passed
                quiet = 0.0 if self._is_talking() else quiet + passed
                if self._owes_silence and quiet >= QUIET_SECONDS:
                    self._owes_silence = False
                    return SILENCE
                continue
            self._left -= time.monotonic() - began
            if began_at < self._acted_at:
                continue  # the end of what was answered already
            self._owes_silence = True
            while not self._words.empty():  # one answer to all that came meanwhile
                words = f"{words} {self._words.get_nowait()[0]}"
            return words
        return None

    async def _decide(self, words: str) -> _Step:
        """What to do about it; to wait where the engine says nothing, or not in time."""
        began = time.monotonic()
        now: list[llm.ChatItem] = [llm.ChatMessage(role="user", content=[words])]
        self._so_far.append(now)
        context = llm.ChatContext([self._prompt, *(item for each in self._so_far for item in each)])
        step = _Step("keep_waiting", {"heard": "hold"})
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                stream = self._mind.chat(chat_ctx=context, tools=list(tools()), tool_choice="required")
                calls = (await stream.collect()).tool_calls
        except Exception as error:  # noqa: BLE001 - what is said next is another chance
            logger.warning("a menu was not understood", extra={"error": type(error).__name__})
            calls = []
        self._left -= time.monotonic() - began
        if calls:
            step = _Step(calls[0].name, _arguments(calls[0].arguments))
            now += _as_items(calls[0])
        is_known = any(step.name == tool.info.name for tool in tools())  # a model may say anything there
        logger.info("a step in a menu", extra={"step": step.name if is_known else "unknown"})
        return step


def _as_items(call: llm.FunctionToolCall) -> list[llm.ChatItem]:
    arguments = _arguments(call.arguments)
    done = f"Pressed {arguments.get('digits', '')}" if call.name == "press_keys" else "Done"
    return [
        llm.FunctionCall(call_id=call.call_id, name=call.name, arguments=json.dumps(arguments)),
        llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output=done, is_error=False),
    ]


def _arguments(raw: str) -> dict[str, Any]:
    try:
        read = json.loads(raw or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
