"""All watchers of one call, on one clock."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from livekit.agents import AgentSession

from pipelines.agent_config import AgentConfig, LimitConfig, ReminderConfig
from worker.watchdog.acts import Acts
from worker.watchdog.floor import Floor
from worker.watchdog.limits import LimitWatch, Usage
from worker.watchdog.playout import PlayoutWatch
from worker.watchdog.silence import SilenceWatch
from worker.watchdog.tools import ToolWatch
from worker.watchdog.turns import TurnWatch

TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Limits:
    """How long a call may last and how long nobody may say anything, in seconds; and what it may use."""

    duration: float
    silence: float
    reminders: ReminderConfig = field(default_factory=ReminderConfig)
    used: LimitConfig = field(default_factory=LimitConfig)

    @classmethod
    def of(cls, agent: AgentConfig, longest: float) -> "Limits":
        """What an agent asks for, in a call that may last `longest` at most."""
        return cls(
            min(longest, agent.max_call_duration_ms / 1000),
            agent.end_call_after_silence_ms / 1000,
            agent.reminders,
            agent.limits,
        )


class _Watcher(Protocol):
    def tick(self, now: float) -> str | None: ...


class Watchdog:
    """Watches one session. `limit()` returns why the call must end, once it must."""

    def __init__(
        self,
        limits: Limits,
        acts: Acts,
        *,
        made: Callable[[], float] = lambda: float("inf"),
        usage: Callable[[], Usage] = Usage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.floor = floor = Floor(clock)
        reminders = limits.reminders
        self._watchers: Sequence[_Watcher] = (
            LimitWatch(floor, acts, limits.duration, limits.used, usage),
            PlayoutWatch(floor, acts, made),
            ToolWatch(floor, acts),
            TurnWatch(floor, acts),
            SilenceWatch(floor, acts, limits.silence, reminders.frequency_ms / 1000, reminders.max_count),
        )

    def attach(self, session: AgentSession[Any]) -> None:
        """Follow the session's events."""
        self.floor.attach(session)

    async def limit(self) -> str:
        """Return which limit was reached, when one is."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if (reason := self.look()) is not None:
                return reason

    def look(self) -> str | None:
        """Look once: act on what is wrong, and say why the call must end, if it must."""
        now = self._clock()
        return next((reason for one in self._watchers if (reason := one.tick(now)) is not None), None)
