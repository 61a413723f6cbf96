"""Functions of a call, as its record has them: those that an engine asked for, and what else was done."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from livekit.agents import AgentSession, ToolExecutionUpdatedEvent
from livekit.agents.llm import FunctionCall
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted

from pipelines.contract.brief import MenuChoice
from pipelines.contract.events import CallEvent, FunctionCalled, FunctionStarted

MAX_TEXT = 20_000
"""Characters of one text in one event; nobody says that much in one go."""

NAVIGATED = "ivr_navigation"


class Ran:
    """Of one call. `now` gives what each event has, `tell` takes it."""

    def __init__(
        self,
        now: Callable[[], dict[str, Any]],
        tell: Callable[[CallEvent], None],
        variables: Mapping[str, str],
    ) -> None:
        self._now, self._tell, self._variables = now, tell, variables
        self._running: dict[str, tuple[FunctionCall, float]] = {}

    def attach(self, session: AgentSession[Any]) -> None:
        """Follow the session."""
        session.on("tool_execution_updated", self._updated)

    def must_call_back(self, reason: str) -> None:
        """Nobody could go on with the caller: on record as the request for a callback that it is."""
        number = self._variables.get("caller") or self._variables.get("from_number", "")
        arguments = {"phone_number": number, "reason": reason}
        self._done("request_callback", arguments, "Noted: somebody will call back.")

    def chose(self, choice: MenuChoice) -> None:
        """The caller pressed a key of the menu."""
        self._done("menu", {"key": choice.key}, choice.label or choice.kind)

    def confirmed(self, key: str) -> None:
        """Whoever was called to try out a trunk pressed a key, as they were asked to."""
        self._done("test_call", {"key": key}, "heard")

    def pressed(self, digits: str) -> None:
        """Keys were pressed in somebody else's menu."""
        self._done("press_keys", {"digits": digits}, f"Pressed {digits}")

    def navigated(self, menus: int, what: str) -> None:
        """Somebody else's menu is behind us, or as far as it went."""
        self._done(NAVIGATED, {"menus": menus}, what)

    def _done(self, name: str, arguments: dict[str, Any], result: str) -> None:
        """Something is done that no engine asked for."""
        self._tell(
            FunctionCalled(
                **self._now(),
                name=name,
                arguments=arguments,
                result=result,
                started_at=datetime.now(UTC),
                duration_ms=0.0,
            )
        )

    def _updated(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            call = update.function_call
            self._running[call.call_id] = (call, event.created_at)
            # LiveKit says so before the function's first line runs.
            self._tell(
                FunctionStarted(
                    **self._now(),
                    function_call_id=call.call_id,
                    name=call.name,
                    arguments=_arguments(call.arguments),
                )
            )
        elif isinstance(update, ToolCallEnded) and update.call_id in self._running:
            call, started_at = self._running.pop(update.call_id)
            message = (update.message or "")[:MAX_TEXT]
            failed = update.status != "done"
            self._tell(
                FunctionCalled(
                    **self._now(),
                    function_call_id=update.call_id,
                    name=call.name,
                    arguments=_arguments(call.arguments),
                    result=None if failed else message,
                    error=(message or update.status) if failed else None,
                    started_at=datetime.fromtimestamp(started_at, UTC),
                    duration_ms=(time.time() - started_at) * 1000,
                )
            )


def _arguments(raw: str) -> dict[str, Any]:
    try:
        parsed = json.loads(raw or "{}")
    except ValueError:
        return {"unparsed": raw[:1000]}
    return parsed if isinstance(parsed, dict) else {"unparsed": raw[:1000]}
