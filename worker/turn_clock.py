"""When a person really spoke and how long the answer took, by our own reckoning.

LiveKit's own times of a turn start afresh when a turn is committed. Words that come late (a busy machine,
a sentence with a pause in it) then belong to no speech at all, or to the wrong one. Here the detector's
stretches of speech are kept until the words that belong to them have come:

    detector    ▁▁███████▁▁██████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁    stretches, on the wall clock
    recogniser  ▁▁└──────────┘words└────┘words▁▁▁▁▁▁▁▁▁    each final knows from when to when it heard
    agent       ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█████████
                                 └────── total ──┘
"""

from collections import deque
from dataclasses import dataclass

from livekit.agents.llm import MetricsReport

from pipelines.transcript import TurnLatency

_KEPT = 64
_SEAM_SECONDS = 0.05
"""Two stretches that touch by less than this are not one: the recogniser looks a little further back."""


@dataclass
class _Stretch:
    began_at: float
    ended_at: float | None = None


class SpeechTimes:
    """Stretches of one person's speech that no utterance has claimed yet. All times are `time.time()`."""

    def __init__(self) -> None:
        self._stretches: deque[_Stretch] = deque(maxlen=_KEPT)
        self._spans: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def began(self, at: float) -> None:
        """The detector says that somebody speaks, since `at`."""
        self._stretches.append(_Stretch(at))

    def ended(self, at: float) -> None:
        """The detector says that it was over at `at`."""
        if self._stretches and self._stretches[-1].ended_at is None:
            self._stretches[-1].ended_at = max(at, self._stretches[-1].began_at)

    def words(self, began_at: float, ended_at: float) -> None:
        """Final words came, and this is when they were said."""
        self._spans.append((began_at, ended_at))

    def take(self, now: float) -> tuple[float, float] | None:
        """From when to when the utterance was said that is complete now; None when nobody knows."""
        spans = list(self._spans)
        self._spans.clear()
        low, high = (spans[0][0], spans[-1][1]) if spans else (0.0, now)
        claimed = [
            stretch
            for stretch in self._stretches
            if stretch.began_at < high - _SEAM_SECONDS and (stretch.ended_at or now) > low + _SEAM_SECONDS
        ]
        if not claimed:
            return (low, high) if spans else None
        began_at = max(low, claimed[0].began_at)
        ended_at = min(high, claimed[-1].ended_at or now)
        while self._stretches and (self._stretches[0].ended_at or now) <= ended_at + _SEAM_SECONDS:
            self._stretches.popleft()
        return began_at, max(began_at, ended_at)


@dataclass(frozen=True)
class Asked:
    """What a person said that waits for its answer: when it ended, was understood and was taken as over."""

    ended_at: float
    understood_at: float
    taken_at: float
    is_typed: bool = False
    let_go_at: float | None = None
    """When the detector said that it was over."""


def latency(
    asked: Asked,
    answered: MetricsReport,
    knowledge_ms: float | None,
    first_sentence_ms: float | None = None,
) -> TurnLatency:
    """Where the time went from the end of what was asked to the first sound of the answer."""
    first_token_ms = _ms(answered.get("llm_node_ttft"))
    if first_token_ms is not None and knowledge_ms is not None:
        # The search runs inside the node that the first token is measured on.
        first_token_ms = max(0.0, first_token_ms - knowledge_ms)
    sounded_at = answered.get("started_speaking_at")
    let_go = None if asked.let_go_at is None else _between(asked.ended_at, asked.let_go_at)
    return TurnLatency(
        vad_ms=None if asked.is_typed else let_go,
        endpointing_ms=None if asked.is_typed else _between(asked.ended_at, asked.taken_at),
        stt_ms=None if asked.is_typed else _between(asked.ended_at, asked.understood_at),
        knowledge_ms=knowledge_ms,
        llm_first_token_ms=first_token_ms,
        first_sentence_ms=first_sentence_ms,
        tts_first_audio_ms=_ms(answered.get("tts_node_ttfb")),
        playout_ms=_ms(answered.get("playback_latency")),
        total_ms=None if sounded_at is None else _between(asked.ended_at, sounded_at),
    )


def _between(start: float, end: float) -> float:
    return max(0.0, (end - start) * 1000)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
