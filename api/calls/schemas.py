"""What calls look like on the wire."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.calls import takeovers
from api.calls.costs import CostSplit
from api.calls.holds import CallHold, holds
from api.calls.retries import Retry
from api.calls.table import CallRow
from api.calls.takeovers import Note
from api.http.pages import Page
from api.http.wire import Wire
from api.notifications.schemas import Notification
from api.webhooks.schemas import Delivery
from pipelines.contract.events import (
    CallEvent,
    CallStarted,
    FunctionCalled,
    FunctionStarted,
    KnowledgeUsed,
    MediaMeasured,
    MediaQuality,
    TransferTried,
    TurnTaken,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.extraction import Analysis
from pipelines.transcript import PassageUsed, TurnLatency, Utterance

CallId = Annotated[str, Field(pattern=r"^(call|demo|test|interp|bridge)_[a-f0-9]{8,24}$")]


class CallQuery(Page):
    """Which calls. `status` also takes `queued`, `active`, `ongoing` and `canceled`."""

    agent_id: str | None = None
    status: str | None = None
    direction: str | None = None
    contact_id: str | None = None
    """Also calls with the contact's number from before it was one."""


class CallSummary(Wire):
    """One call in a list. Timestamps are milliseconds since 1970, durations milliseconds."""

    call_id: str
    agent_id: str | None
    contact_id: str | None = None
    call_status: str
    call_type: str
    direction: str
    from_number: str | None
    to_number: str | None
    start_timestamp: int | None
    end_timestamp: int | None
    duration_ms: int | None
    disconnection_reason: str | None
    recording_url: str | None
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: CallRow, recording_url: str | None = None) -> "CallSummary":
        """A row as a list shows it."""
        return cls(**_summary(row, recording_url))


E164 = Annotated[str, Field(pattern=r"^\+[1-9]\d{1,14}$")]
ShortText = Annotated[str, Field(max_length=2000)]


class OutboundCall(Wire):
    """Whom an agent shall call."""

    agent_id: Annotated[str, Field(min_length=1, max_length=100)]
    to_number: E164
    from_number: E164 | None = None
    """One of your own numbers; the agent's where it is left out."""
    topic: Annotated[str, Field(max_length=500)] | None = None
    """Reaches the agent as `{{call_purpose}}`."""
    metadata: dict[str, Any] | None = None
    dynamic_variables: Annotated[dict[str, ShortText], Field(max_length=200)] | None = None
    retry: Retry | None = None
    """Left out, nobody is called again."""


class CallDeleted(Wire):
    """A call is gone, with its transcript and its recording. What it used stays in the figures."""

    message: str = "Call deleted"
    call_id: str


TranscriptFormat = Literal["json", "text", "srt", "vtt"]


class TranscriptQuery(Wire):
    """In which form. Where nothing is asked for, the Accept header decides."""

    format: TranscriptFormat | None = None


class QualityQuery(Wire):
    """Which calls a report is about."""

    days: Annotated[int, Field(ge=1, le=90)] = 30
    agent_id: Annotated[str, Field(max_length=100)] | None = None


class QualityReport(Wire):
    """How calls went: of those that began within some days."""

    days: int
    total_calls: int
    by_status: dict[str, int]
    avg_duration_seconds: float
    answer_times: "AnswerTimes | None"
    """Of all answers of the newest 500 calls."""
    interrupted_share: float | None
    """Of what agents said in those calls, how much was cut off by the caller."""
    warnings: dict[str, int]
    """How often each was raised in those calls."""


class CallList(Wire):
    """A page of calls, newest first, and how many there are."""

    calls: list[CallSummary]
    total: int


class TranscriptEntry(Wire):
    """One utterance. `start_ms` and `end_ms` count from the moment the agent began to listen."""

    role: Literal["agent", "user", "note"]
    """A `note` was said by nobody: it tells who took the call over, and when it was given back."""
    text: str
    timestamp: datetime
    start_ms: int
    end_ms: int
    was_interrupted: bool
    is_typed: bool
    utterance_id: str
    knowledge: list[PassageUsed] = Field(default_factory=list)
    """What the answer had before it from the knowledge base, best first."""

    @classmethod
    def of(
        cls, utterance: Utterance, origin: datetime, knowledge: Sequence[PassageUsed] = ()
    ) -> "TranscriptEntry":
        """An utterance on a call's own clock."""
        return cls(
            role=utterance.role,
            text=utterance.text,
            timestamp=utterance.started_at,
            start_ms=_since(origin, utterance.started_at),
            end_ms=_since(origin, utterance.ended_at),
            was_interrupted=utterance.was_interrupted,
            is_typed=utterance.is_typed,
            utterance_id=utterance.utterance_id,
            knowledge=list(knowledge),
        )

    @classmethod
    def noted(cls, note: Note, origin: datetime) -> "TranscriptEntry":
        """What happened between the words."""
        at = _since(origin, note.at)
        return cls(
            role="note",
            text=note.text,
            timestamp=note.at,
            start_ms=at,
            end_ms=at,
            was_interrupted=False,
            is_typed=False,
            utterance_id="",
        )


class CallTurn(Wire):
    """One answer of the agent, and where its time went."""

    utterance_id: str
    text: str | None = None
    latency: TurnLatency


class CallFunction(Wire):
    """A function that ran during the call."""

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    started_at: datetime
    duration_ms: float


class CallWarning(Wire):
    """Something was not as the agent asks for; the call went on."""

    code: str
    message: str
    at: datetime | None = None


class CallTransfer(Wire):
    """The caller was to be handed to somebody, and what came of it."""

    target: str
    """Its name."""
    to: str
    mode: Literal["cold", "warm"]
    outcome: Literal["referred", "bridged", "failed"]
    """`referred`: the carrier has both, and we know no more. `bridged`: they talk through us."""
    why_not: str
    at: datetime
    took_ms: float
    """From the wish to this outcome."""
    talked_ms: float | None = None
    """How long the two talked, where that is known and over. It is part of the call's duration."""


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


@dataclass(frozen=True)
class Known:
    """What a call's settlement found out by now."""

    analysis: Analysis | None = None
    cost: CostSplit | None = None


class Call(CallSummary):
    """One call with all that is known of it."""

    transcript: str | None
    transcript_object: list[TranscriptEntry]
    turns: list[CallTurn]
    answer_times: AnswerTimes | None = None
    functions: list[CallFunction]
    warnings: list[CallWarning]
    transfers: list[CallTransfer]
    holds: list[CallHold]
    """When it was on hold, by our side or by the caller's own telephone."""
    cost: CostSplit | None = None
    """What the providers cost, by list price; None until the call is settled."""
    call_analysis: Analysis | None = None
    """None while the call runs, and for some seconds after."""
    room_name: str | None = None
    engines: dict[str, str] | None = None
    """What really listened, thought and spoke: `stt`, `llm`, `tts`."""
    recording_duration_ms: int | None = None
    attempt: int = 0
    tries: int = 1
    """Which try this is, of a call that is made again where nobody is reached."""
    retry_of: str | None = None
    """The call that was the try before."""
    retry_at: datetime | None = None
    """When the next try is due."""
    sip_code: int | None = None
    """What the carrier said at last of a phone call: 486 for busy, 200 for one that was answered."""
    sip_reason: str | None = None
    media_quality: MediaQuality | None = None
    """How well the two sides of a phone call could hear each other, once it is over."""

    @classmethod
    def told(
        cls, row: CallRow, events: Sequence[CallEvent], recording_url: str | None, known: "Known"
    ) -> "Call":
        """A row with its events told in order, and what its settlement found out."""
        utterances = sorted(
            (event.utterance for event in events if isinstance(event, UtteranceHeard)),
            key=lambda utterance: utterance.started_at,
        )
        texts = {utterance.utterance_id: utterance.text for utterance in utterances}
        used = {event.utterance_id: event.passages for event in events if isinstance(event, KnowledgeUsed)}
        origin = row.started_at or row.created_at
        started = [event for event in events if isinstance(event, CallStarted)]
        turns = [
            CallTurn(
                utterance_id=event.turn.utterance_id,
                text=texts.get(event.turn.utterance_id),
                latency=event.turn.latency,
            )
            for event in events
            if isinstance(event, TurnTaken)
        ]
        entries = [
            TranscriptEntry.of(utterance, origin, used.get(utterance.utterance_id, ()))
            for utterance in utterances
        ]
        entries += [TranscriptEntry.noted(note, origin) for note in takeovers.notes(events)]
        entries.sort(key=lambda entry: entry.timestamp)
        return cls(
            **_summary(row, recording_url),
            transcript=_as_text(entries) if entries else row.transcript,
            transcript_object=entries,
            turns=turns,
            answer_times=AnswerTimes.of(turns),
            functions=_functions(row, events),
            warnings=[
                CallWarning(code=event.code, message=event.message, at=event.at)
                for event in events
                if isinstance(event, WarningRaised)
            ],
            transfers=[_transfer(row, event) for event in events if isinstance(event, TransferTried)],
            holds=holds(events),
            call_analysis=known.analysis,
            cost=known.cost,
            room_name=row.room_name,
            engines={"stt": started[-1].stt, "llm": started[-1].llm, "tts": started[-1].tts}
            if started
            else None,
            recording_duration_ms=row.recording_ms,
            attempt=row.attempt,
            tries=row.tries,
            retry_of=row.retry_of,
            retry_at=row.redial_at,
            sip_code=row.sip_code,
            sip_reason=row.sip_reason,
            media_quality=_quality(events),
        )


def _transfer(row: CallRow, event: TransferTried) -> CallTransfer:
    is_known = event.outcome == "bridged" and row.ended_at is not None
    return CallTransfer(
        target=event.target,
        to=event.to,
        mode=event.mode,
        outcome=event.outcome,
        why_not=event.why_not,
        at=event.at,
        took_ms=event.duration_ms,
        talked_ms=max(0.0, (row.ended_at - event.at).total_seconds() * 1000)
        if is_known and row.ended_at is not None
        else None,
    )


class CallAction(Wire):
    """What became of an action that was wanted after the call."""

    number: int
    type: str
    name: str
    outcome: Literal["asked", "done", "skipped", "failed"]
    detail: str


class CallDeliveries(Wire):
    """All that was told and done about a call."""

    deliveries: list[Delivery]
    actions: list[CallAction]
    notifications: list[Notification]


class Transcript(Wire):
    """What was said in a call."""

    call_id: str
    transcript: str
    transcript_object: list[TranscriptEntry]


class SignedRecording(Wire):
    """Where a recording can be fetched without credentials, and until when."""

    call_id: str
    recording_url: str
    url: str
    expires_at: datetime
    expires_in: int
    content_type: str
    size_bytes: int
    duration_ms: int | None


def _summary(row: CallRow, recording_url: str | None) -> dict[str, Any]:
    return {
        "call_id": row.id,
        "agent_id": row.agent_id,
        "contact_id": row.contact_id,
        "call_status": row.status,
        "call_type": row.call_type,
        "direction": row.direction,
        "from_number": row.from_number,
        "to_number": row.to_number,
        "start_timestamp": _milliseconds(row.started_at),
        "end_timestamp": _milliseconds(row.ended_at),
        "duration_ms": row.duration_ms,
        "disconnection_reason": row.disconnection_reason,
        "recording_url": recording_url,
        "metadata": row.extra,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _as_text(entries: Sequence[TranscriptEntry]) -> str:
    return "\n".join(f"{entry.role.capitalize()}: {entry.text}" for entry in entries)


def _quality(events: Sequence[CallEvent]) -> MediaQuality | None:
    measured = [event.quality for event in events if isinstance(event, MediaMeasured)]
    return measured[-1] if measured else None


def _at_rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _functions(row: CallRow, events: Sequence[CallEvent]) -> list[CallFunction]:
    """What ran, and what was under way when its process died."""
    ended = [event for event in events if isinstance(event, FunctionCalled)]
    known = {event.function_call_id for event in ended}
    cut_off = [
        CallFunction(
            name=event.name,
            arguments=event.arguments,
            error="interrupted",
            started_at=event.at,
            duration_ms=0.0,
        )
        for event in events
        if isinstance(event, FunctionStarted)
        and event.function_call_id not in known
        and (row.is_over or event.attempt < row.attempt)
    ]
    ran = [CallFunction(**event.model_dump(include=set(CallFunction.model_fields))) for event in ended]
    return sorted(ran + cut_off, key=lambda function: function.started_at)


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _since(origin: datetime, moment: datetime) -> int:
    return max(0, round((moment - origin).total_seconds() * 1000))
