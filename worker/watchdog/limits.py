"""How long a call may last and what it may use."""

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.agent_config import LimitConfig
from worker.watchdog.acts import Acts
from worker.watchdog.floor import Floor

SAY_BEFORE_SECONDS = 8.0
"""A warning of the end that found no pause is said into the talk, so long before the end."""


@dataclass(frozen=True)
class Usage:
    """What a call has used so far; `cost_usd` is None where a price is not known."""

    tokens: float = 0.0
    cost_usd: float | None = None


class LimitWatch:
    """Duration, tokens and money end a call; without more functions (`Rails.in_all`) the talk goes on."""

    def __init__(
        self,
        floor: Floor,
        acts: Acts,
        duration: float,
        limits: LimitConfig,
        usage: Callable[[], Usage],
    ) -> None:
        self._floor, self._acts = floor, acts
        self._duration, self._limits, self._usage = duration, limits, usage
        self._has_warned = limits.warn_before_end_seconds <= 0
        self._has_told_of_tools = False

    def tick(self, now: float) -> str | None:
        """The limit that was reached."""
        left = self._duration - (now - self._floor.began_at)
        if left <= 0:
            return "max_duration"
        if not self._has_warned and left <= min(self._limits.warn_before_end_seconds, self._duration / 4):
            is_pause = not self._floor.is_anybody_busy(now, self._duration)
            if is_pause or left <= SAY_BEFORE_SECONDS:
                self._has_warned = True
                self._floor.is_own_speech = True
                self._acts.warn_of_end()
        return self._used_up()

    def _used_up(self) -> str | None:
        limits = self._limits
        most = limits.tool_calls
        if most is not None and self._floor.tool_calls >= most and not self._has_told_of_tools:
            self._has_told_of_tools = True
            self._acts.warn("tool_limit", f"The agent has used its {most} function calls.")
        if limits.tokens is None and limits.cost_usd is None:
            return None
        used = self._usage()
        if limits.tokens is not None and used.tokens >= limits.tokens:
            self._acts.warn("token_limit", f"The call has used its {limits.tokens} tokens.")
            return "token_limit"
        if limits.cost_usd is not None and used.cost_usd is not None and used.cost_usd >= limits.cost_usd:
            self._acts.warn("cost_limit", f"The call has cost its {limits.cost_usd} dollars.")
            return "cost_limit"
        return None
