"""Who may speak and who is heard in a call: holds, by whomever, and muted sides.

    order, hold_call ─► hold ── until ──────────► too long: the call goes on, or ends
    resume ───────────► nothing is held any more
    order, mute ───────► a side is not heard ──► unmute, by whoever may; the agent's own ends by itself, too
    the other side ───► held: the agent waits, asks nobody whether they are there, and answers afterwards

On hold the agent hears nothing and what it says waits: functions that run go on, and what they bring is said
when the call goes on. Each hold is an event with its end, so a process that takes the call up knows.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from livekit.agents import AgentSession

from pipelines.contract.actions import Action, Hold, Mute
from pipelines.resuming import last_hold
from pipelines.tools.call_control import CannotDo
from worker.endings import Ending
from worker.lines.line import Line
from worker.supervision import Supervision
from worker.watchdog import Watchdog


class Holding:
    """Of one call. `limit` returns when a hold has lasted too long that shall end the call."""

    def __init__(self, line: Line, tell: Callable[[Action], None], warn: Callable[[str, str], None]) -> None:
        """`tell` writes down what was done."""
        self._line, self._tell, self._warn = line, tell, warn
        self._session: AgentSession[Any] | None = None
        self._watchdog: Watchdog | None = None
        self._held: Hold | None = None
        self._is_held_by_other = False
        self._muted: dict[str, Mute] = {}
        self._navigates = False
        self._supervision: Supervision | None = None
        self._changed = asyncio.Event()
        line.on_held = self._other_side

    def attend(self, supervision: Supervision) -> None:
        """Somebody may talk in the agent's place."""
        self._supervision = supervision
        supervision.on_change = lambda session: self._apply()

    @property
    def is_silenced(self) -> bool:
        """Nobody would hear the agent now."""
        return self._held is not None or "agent" in self._muted or self._is_taken_over

    @property
    def _is_taken_over(self) -> bool:
        return self._supervision is not None and self._supervision.is_taken_over

    async def before(self, actions: Sequence[Action]) -> None:
        """What an earlier process has left, before the line starts: whoever waits goes on waiting."""
        held = last_hold(actions)
        if held is not None and held.is_on and held.until is not None and held.until > datetime.now(UTC):
            await self._hold(held)
        else:
            await self._line.hold(is_on=False)
        for action in actions:
            if isinstance(action, Mute):
                self._note(action)

    async def begin(self, session: AgentSession[Any], watchdog: Watchdog) -> None:
        """The session runs."""
        self._session, self._watchdog = session, watchdog
        await self._apply()

    async def hold(self, action: Hold) -> None:
        """Put the call on hold, or go on, and write it down. Raises `CannotDo`."""
        if action.is_on:
            until = datetime.now(UTC) + timedelta(seconds=action.max_seconds)
            action = action.model_copy(update={"until": until})
            await self._hold(action)
        else:
            await self._line.hold(is_on=False)
            self._held = None
        await self._apply()
        self._changed.set()
        self._tell(action)

    async def mute(self, action: Mute) -> None:
        """Silence a side, or let it be heard, and write it down. Raises `CannotDo`."""
        before = self._muted.get(action.side)
        if action.by == "agent" and before is not None and before.by == "order":
            raise CannotDo("You are muted from outside, and heard again once whoever did it allows it")
        self._note(action)
        await self._apply()
        self._changed.set()
        self._tell(action)

    def _note(self, action: Mute) -> None:
        self._muted.pop(action.side, None)
        if action.is_on:
            self._muted[action.side] = action

    def navigates(self, *, is_on: bool) -> None:
        """The agent is silent on purpose: machines talk, or music plays."""
        self._navigates = is_on
        self._show()

    async def limit(self) -> Ending:
        """Return when a hold that was to end the call has lasted too long; others end by themselves."""
        while True:
            self._changed.clear()
            held, muted = self._held, self._muted.get("agent")
            ends = [one.until for one in (held, muted) if one is not None and one.until is not None]
            left = (min(ends) - datetime.now(UTC)).total_seconds() if ends else None
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                if muted is not None and muted is self._muted.get("agent") and _is_over(muted):
                    await self.mute(Mute(is_on=False, by="limit"))
                if held is not self._held or held is None or not _is_over(held):
                    continue
                self._warn(
                    "hold_limit", f"The call was on hold for {held.max_seconds} seconds, as long as it may."
                )
                if held.at_limit == "end":
                    return Ending("completed", "hold_limit")
                await self.hold(Hold(is_on=False, by="limit"))

    async def _hold(self, action: Hold) -> None:
        self._held = action
        try:
            await self._line.hold(is_on=True, sound=action.sound)
        except BaseException:
            self._held = None
            raise

    def _other_side(self, is_on: bool) -> None:
        self._is_held_by_other = is_on
        self._tell(Hold(is_on=is_on, by="caller"))
        self._show()

    async def _apply(self) -> None:
        if (session := self._session) is None:
            return
        is_held, is_taken = self._held is not None, self._is_taken_over
        is_muted = is_taken or "agent" in self._muted
        # Whoever is cut off while functions run never hears what those bring.
        cuts = is_muted or (is_held and not self._runs_functions)
        if cuts and session.agent_state == "speaking":
            await session.interrupt(force=True)
        session.input.set_audio_enabled(not is_held and not is_taken and "caller" not in self._muted)
        # On hold it waits at the line; muted, it is lost.
        session.output.set_audio_enabled(not is_muted)
        self._show()

    @property
    def _runs_functions(self) -> bool:
        return self._watchdog is not None and bool(self._watchdog.floor.tools)

    def _show(self) -> None:
        if self._watchdog is not None:
            # Nobody is to be asked whether they are there, who cannot be heard.
            waits = self._held is not None or self._is_held_by_other or self._navigates
            self._watchdog.floor.is_on_hold = waits or self._is_taken_over or bool(self._muted)


def _is_over(action: Hold | Mute) -> bool:
    return action.until is not None and action.until <= datetime.now(UTC)
