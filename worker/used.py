"""What a call uses: tokens, letters and seconds, in each of its sessions and attempts."""

from typing import Any

from livekit.agents import AgentSession
from livekit.agents.metrics import LLMModelUsage, STTModelUsage, TTSModelUsage

from pipelines.assemble import Pipeline
from pipelines.contract.brief import CallBrief
from pipelines.costs import Engines, UsedInCall, split
from worker.watchdog.limits import Usage


class Used:
    """Of one call."""

    def __init__(self, brief: CallBrief) -> None:
        self._before, self._prices = brief.used, brief.prices
        self._sessions: list[AgentSession[Any]] = []
        self._pipeline: Pipeline | None = None

    def attach(self, session: AgentSession[Any], pipeline: Pipeline) -> None:
        """The call's own session."""
        self._sessions.append(session)
        self._pipeline = pipeline

    def beside(self, session: AgentSession[Any]) -> None:
        """What this session uses is the call's, too: it asks somebody whether they take the caller."""
        self._sessions.append(session)

    def in_all(self) -> Usage:
        """In all attempts."""
        usage = self.lately()
        for name in UsedInCall.__annotations__:
            _add(usage, name, self._before.get(name, 0.0))
        tokens = usage.get("llm_input_tokens", 0) + usage.get("llm_output_tokens", 0)
        if self._prices is None or (pipeline := self._pipeline) is None:
            return Usage(tokens)
        engines = Engines(pipeline.stt_name, pipeline.llm_name, pipeline.tts_name)
        return Usage(tokens, split(UsedInCall(**usage), engines, self._prices).total_usd)

    def lately(self) -> dict[str, float]:
        """In this attempt, as events tell it."""
        usage: dict[str, float] = {}
        for model in (used for session in self._sessions for used in session.usage.model_usage):
            if isinstance(model, LLMModelUsage):
                _add(usage, "llm_input_tokens", model.input_tokens)
                _add(usage, "llm_output_tokens", model.output_tokens)
            elif isinstance(model, TTSModelUsage):
                _add(usage, "tts_characters", model.characters_count)
            elif isinstance(model, STTModelUsage):
                _add(usage, "stt_seconds", model.audio_duration)
        return usage


def _add(usage: dict[str, float], name: str, amount: float) -> None:
    usage[name] = usage.get(name, 0.0) + amount
