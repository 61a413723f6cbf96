"""What a session does, told as call events: who said what, how long it took, what was called."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

from pipelines.agent_config import TransferTarget
from pipelines.assemble import Pipeline
from pipelines.contract.actions import Action
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import (
    CallEnded,
    CallEvent,
    CallLost,
    CallStarted,
    KnowledgeUsed,
    MediaMeasured,
    MediaQuality,
    Steered,
    TransferTried,
    TurnTaken,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.transcript import PassageUsed, Turn, Utterance
from worker.control import Outcome
from worker.endings import Ending
from worker.ran import MAX_TEXT, Ran
from worker.turn_clock import Asked, SpeechTimes, latency
from worker.used import Used

logger = logging.getLogger(__name__)

TYPED = "call2me.typed"
"""Key in the `extra` of a person's message that was typed instead of said."""

MAX_PASSAGE = 2_000

OWED_SECONDS = 20.0
"""A long sentence and the time to understand it; whoever said nothing since said nothing."""

_SHOWN = frozenset({"call_started", "utterance", "turn", "function", "warning", "call_ended"})
_PRIVATE = {"arguments", "result", "worker_id", "usage"}
"""What a person at the page need not see of a function or of this machine."""

Append = Callable[[CallEvent], None]
Show = Callable[[dict[str, Any]], None]
Failed = Callable[[str, str], None]


class Conversation:
    """Turns one session's events into call events, spooled at once and shown beside the audio.

    Utterances come when they are over, each turn right after the agent's utterance it measures.
    """

    def __init__(self, brief: CallBrief, worker_id: str, append: Append, show: Show) -> None:
        self._call = {"call_id": brief.call_id, "attempt": brief.attempt, "sequence": 0}
        self._worker_id = worker_id
        self._append = append
        self._show = show
        self._asked: Asked | None = None
        self._times = SpeechTimes()
        self._hushed_at = self._let_go_at = 0.0
        self._is_speaking = False
        self._spoke_at = self._understood_at = 0.0
        self.used = Used(brief)
        self.ran = Ran(self._now, self._tell, brief.variables)
        self._pipeline: Pipeline | None = None
        self.on_provider_failed: Failed = lambda kind, reason: None
        """Called with `llm`, `stt` or `tts` and a reason each time a provider gave up on something."""

    def attach(self, session: AgentSession[Any], pipeline: Pipeline) -> None:
        """Follow the session. What the pipeline warns of is told right away."""
        self._pipeline = pipeline
        self.used.attach(session, pipeline)
        self.ran.attach(session)
        pipeline.agent.on_words = self._times.words
        pipeline.toolbox.rails.warn = self.warn
        pipeline.on_switch(self.warn)
        session.on("conversation_item_added", self._item_added)
        session.on("agent_state_changed", self._agent_changed)
        session.on("user_state_changed", self._user_changed)
        session.on("user_input_transcribed", self._words_heard)
        session.on("error", self._error)

    @property
    def is_owed_words(self) -> bool:
        """True while something was said lately of which no words have come yet."""
        is_recent = time.time() - self._spoke_at < OWED_SECONDS
        return self._is_speaking or (is_recent and self._understood_at < self._spoke_at)

    def started(self) -> None:
        """The session runs on its line."""
        if (pipeline := self._pipeline) is None:
            return
        names = {"stt": pipeline.stt_name, "llm": pipeline.llm_name, "tts": pipeline.tts_name}
        self._tell(CallStarted(**self._now(), worker_id=self._worker_id, **names))
        for warned in pipeline.warnings:
            self.warn(warned.code, warned.message)

    def warn(self, code: str, message: str) -> None:
        """Something is not as it should be; the call goes on."""
        logger.warning("warning raised in a call", extra={"code": code})
        self._tell(WarningRaised(**self._now(), code=code, message=message[:1000]))

    def overheard(self, said: Utterance) -> None:
        """Somebody said this while a person talked in the agent's place."""
        self._tell(UtteranceHeard(**self._now(), utterance=said))

    def steered(self, action: Action) -> None:
        """Somebody outside steered the call."""
        self._tell(Steered(**self._now(), action=action))

    def transferred(self, target: TransferTarget, outcome: Outcome, why_not: str, seconds: float) -> None:
        """The caller was to be handed to somebody."""
        logger.info("a transfer", extra={"outcome": outcome, "mode": target.mode})
        self._tell(
            TransferTried(
                **self._now(),
                target=target.name,
                to=target.value,
                mode=target.mode,
                outcome=outcome,
                why_not=why_not[:500],
                duration_ms=seconds * 1000,
            )
        )

    def measured(self, quality: MediaQuality) -> None:
        """What the line says of its sound."""
        self._tell(MediaMeasured(**self._now(), quality=quality))

    def over(self, ending: Ending, *, has_recording: bool) -> None:
        """The last event: of the call, or of this attempt where another process goes on with it."""
        told = {**self._now(), "has_recording": has_recording, "usage": self.used.lately()}
        if ending.goes_on:
            self._tell(CallLost(**told, reason=ending.reason[:500], is_handed_over=ending.is_handed_over))
        else:
            is_bridged, reason = ending.is_bridged, ending.reason[:500]
            told["at"] = ending.at or told["at"]
            self._tell(CallEnded(**told, status=ending.status, reason=reason, is_bridged=is_bridged))

    def _now(self) -> dict[str, Any]:
        return {**self._call, "at": datetime.now(UTC)}

    def _tell(self, event: CallEvent) -> None:
        self._append(event)
        if event.kind in _SHOWN:
            self._show(event.model_dump(mode="json", exclude=_PRIVATE))

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or item.role not in ("user", "assistant"):
            return
        if not (text := (item.text_content or "").strip()):
            return
        is_user = item.role == "user"
        is_typed = bool(item.extra.get(TYPED))
        started_at = item.metrics.get("started_speaking_at") or item.created_at
        ended_at = item.metrics.get("stopped_speaking_at") or event.created_at
        if is_user:
            started_at, ended_at = self._said(item, is_typed, event.created_at)
        elif item.interrupted and started_at < self._hushed_at < ended_at:
            # A barge-in holds the sound at once, and is one for sure only when words were understood.
            ended_at = self._hushed_at
        utterance = Utterance(
            utterance_id=item.id,
            role="user" if is_user else "agent",
            text=text[:MAX_TEXT],
            started_at=_time(started_at),
            ended_at=_time(max(started_at, ended_at)),
            was_interrupted=item.interrupted,
            is_typed=is_typed,
        )
        retrieval = self._pipeline.agent.retrieval if self._pipeline is not None else None
        is_answer = not is_user and self._asked is not None
        if is_answer and retrieval is not None and (passages := retrieval.take()):
            # First, so that whoever sees an answer sees what it was made of.
            used = tuple(
                PassageUsed(**{**passage, "text": passage["text"][:MAX_PASSAGE]}) for passage in passages[:20]
            )
            self._tell(KnowledgeUsed(**self._now(), utterance_id=item.id, passages=used))
        self._tell(
            UtteranceHeard(**self._now(), utterance=utterance, usage={} if is_user else self.used.lately())
        )
        if not is_user and self._asked is not None:
            spent = latency(
                self._asked,
                item.metrics,
                retrieval.last_ms if retrieval is not None else None,
                self._pipeline.agent.first_sentence.ms if self._pipeline is not None else None,
            )
            self._asked = None
            self._tell(TurnTaken(**self._now(), turn=Turn(utterance_id=item.id, latency=spent)))

    def _said(self, item: ChatMessage, is_typed: bool, taken_at: float) -> tuple[float, float]:
        """When a person's utterance began and ended; its answer is measured from there."""
        if is_typed:
            self._asked = Asked(item.created_at, item.created_at, item.created_at, is_typed=True)
            return item.created_at, item.created_at
        stopped_at, delay = item.metrics.get("stopped_speaking_at"), item.metrics.get("end_of_turn_delay")
        if stopped_at is not None and delay is not None:
            taken_at = stopped_at + delay
        started_at, ended_at = self._times.take(taken_at) or (
            item.metrics.get("started_speaking_at") or item.created_at,
            stopped_at or taken_at,
        )
        understood_at = min(max(self._understood_at, ended_at), taken_at)
        let_go_at = self._let_go_at if self._let_go_at >= ended_at else None
        self._asked = Asked(ended_at, understood_at, taken_at, let_go_at=let_go_at)
        return started_at, ended_at

    def _agent_changed(self, event: AgentStateChangedEvent) -> None:
        if event.old_state == "speaking":
            self._hushed_at = event.created_at

    def _user_changed(self, event: UserStateChangedEvent) -> None:
        self._is_speaking = event.new_state == "speaking"
        # The beginning counts as well: words may come before the detector sees the end.
        if self._is_speaking:
            self._spoke_at = event.created_at
            self._times.began(event.created_at)
        else:
            self._times.ended(event.created_at)
            self._let_go_at = time.time()

    def _words_heard(self, event: UserInputTranscribedEvent) -> None:
        # An empty guess takes back what was guessed: a noise, or a murmur that is no turn.
        if event.is_final or not event.transcript:
            self._understood_at = event.created_at

    def _error(self, event: ErrorEvent) -> None:
        error = event.error
        if getattr(error, "recoverable", True):
            return
        kind = str(getattr(error, "type", "")).removesuffix("_error")
        cause = getattr(error, "error", error)
        reason = f"{type(cause).__name__}: {cause}"[:300]
        self.warn(f"{kind}_failed", reason)
        self.on_provider_failed(kind, reason)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
