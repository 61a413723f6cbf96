"""The agent's answers in a call, and how long each was waited for."""

import math
from collections.abc import Sequence

from api.http.wire import Wire
from pipelines.contract.events import CallEvent, TurnTaken, UtteranceHeard
from pipelines.transcript import TurnLatency


class CallTurn(Wire):
    """One answer of the agent, and where its time went."""

    utterance_id: str
    text: str | None = None
    latency: TurnLatency


class AnswerTimes(Wire):
    """From the end of what a person said to the first sound of the answer, in milliseconds."""

    p50_ms: float
    p95_ms: float
    turns: int

    @classmethod
    def of(cls, turns: Sequence[CallTurn]) -> "AnswerTimes | None":
        """None for a call in which nothing was answered. The value at the rank, not between two."""
        totals = sorted(turn.latency.total_ms for turn in turns if turn.latency.total_ms is not None)
        if not totals:
            return None
        return cls(p50_ms=_at_rank(totals, 0.5), p95_ms=_at_rank(totals, 0.95), turns=len(totals))


def turns(events: Sequence[CallEvent]) -> list[CallTurn]:
    """In the order in which they were told, each with its words where those are known."""
    texts = {
        event.utterance.utterance_id: event.utterance.text
        for event in events
        if isinstance(event, UtteranceHeard)
    }
    return [
        CallTurn(
            utterance_id=event.turn.utterance_id,
            text=texts.get(event.turn.utterance_id),
            latency=event.turn.latency,
        )
        for event in events
        if isinstance(event, TurnTaken)
    ]


def _at_rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
