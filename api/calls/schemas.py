"""What calls look like on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api.calls import functions, transcripts, transfers, turns
from api.calls.costs import CostSplit
from api.calls.functions import CallFunction
from api.calls.holds import CallHold, holds
from api.calls.queueing import CallQueue
from api.calls.retries import Retry
from api.calls.table import CallRow
from api.calls.transcripts import TranscriptEntry
from api.calls.transfers import CallTransfer
from api.calls.turns import AnswerTimes, CallTurn
from api.http.pages import Page
from api.http.wire import Wire
from api.notifications.schemas import Notification
from api.webhooks.schemas import Delivery
from pipelines.contract.events import CallEvent, CallStarted, MediaMeasured, MediaQuality, WarningRaised
from pipelines.extraction import Analysis

CallId = Annotated[str, Field(pattern=r"^(call|demo|test|interp|bridge)_[a-f0-9]{8,24}$")]


Wanted = Literal[
    "pending",
    "ringing",
    "in_progress",
    "completed",
    "failed",
    "no_answer",
    "busy",
    "transferred",
    "ended",
    "queued",
    "active",
    "ongoing",
    "canceled",
]
"""The statuses that a call has, then the words of the contract that stand for some of them."""


class CallQuery(Page):
    """Which calls. `status` also takes `queued`, `active`, `ongoing` and `canceled`."""

    agent_id: str | None = None
    status: Wanted | None = None
    direction: Literal["inbound", "outbound", "web", "web_bridge"] | None = None
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


RingSeconds = Annotated[int, Field(ge=5, le=180)]


MOST_HEADER_CHARACTERS = 1000
"""Of names and values together: an INVITE of more than 1,300 bytes is for networks that carry it."""


def _that_go_along(headers: dict[str, str]) -> dict[str, str]:
    if len({name.lower() for name in headers}) < len(headers):
        raise PydanticCustomError("sip_headers", "A header is named twice")
    if sum(map(len, (*headers, *headers.values()))) > MOST_HEADER_CHARACTERS:
        raise PydanticCustomError(
            "sip_headers", f"The headers have more than {MOST_HEADER_CHARACTERS} characters altogether"
        )
    return headers


HeaderName = Annotated[str, Field(pattern=r"^[Xx]-[A-Za-z0-9-]{1,60}$")]
HeaderValue = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=16), AfterValidator(_that_go_along)]


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
    ring_timeout_seconds: RingSeconds | None = None
    """How long it may ring; a minute where it is left out."""
    headers: Headers | None = None
    """Of the INVITE: for your carrier or PBX, names that begin with `X-`."""
    retry: Retry | None = None
    """Left out, nobody is called again."""


class CallDeleted(Wire):
    """A call is gone, with its transcript and its recording. What it used stays in the figures."""

    message: str = "Call deleted"
    call_id: str


class CallList(Wire):
    """A page of calls, newest first, and how many there are."""

    calls: list[CallSummary]
    total: int


class CallWarning(Wire):
    """Something was not as the agent asks for; the call went on."""

    code: str
    message: str
    at: datetime | None = None


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
    queue: CallQueue | None = None
    """Of a caller for whom no line was free at first."""
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
        started = [event for event in events if isinstance(event, CallStarted)]
        entries = transcripts.entries(events, row.started_at or row.created_at)
        answered = turns.turns(events)
        return cls(
            **_summary(row, recording_url),
            transcript=transcripts.as_text(entries) if entries else row.transcript,
            transcript_object=entries,
            turns=answered,
            answer_times=AnswerTimes.of(answered),
            functions=functions.functions(row, events),
            warnings=[
                CallWarning(code=event.code, message=event.message, at=event.at)
                for event in events
                if isinstance(event, WarningRaised)
            ],
            transfers=transfers.transfers(row, events),
            holds=holds(events),
            queue=CallQueue.of(row),
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


def _quality(events: Sequence[CallEvent]) -> MediaQuality | None:
    measured = [event.quality for event in events if isinstance(event, MediaMeasured)]
    return measured[-1] if measured else None


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
