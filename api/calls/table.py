"""Rows of calls, of what happened in them, and of what they used."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now

RUNNING = ("pending", "ringing", "in_progress")
"""Statuses of a call that is not over."""


class CallRow(SQLModel, table=True):
    """One call. Written before anybody joins; `briefed_at` is None until a worker asked for it."""

    __tablename__ = "calls"
    __table_args__ = (
        Index("ix_calls_owner_created", "owner_id", "created_at"),
        Index("ix_calls_unsettled", "settled_at", "ended_at"),
    )

    id: str = Field(default_factory=lambda: new_id("call", 16), primary_key=True)
    owner_id: str
    agent_id: str | None = Field(default=None, index=True)
    """Kept when the agent is deleted: the call still happened."""
    contact_id: str | None = Field(default=None, index=True)
    """Whom it is with: named by whoever asked for the call, else recognised by the number. Kept, too."""
    status: str = Field(default="pending", index=True)
    call_type: str = "web_call"
    direction: str = "web"
    from_number: str | None = None
    to_number: str | None = None
    sip_call_id: str | None = Field(default=None, unique=True)
    """Of a call that came in over SIP: the same INVITE told twice is one call."""
    sip_trunk_id: str | None = None
    dialled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When somebody set out to have it dialled: only one does, and only once."""
    dialler: str | None = None
    """Who was ordered to, written down before the order left: a worker, or `livekit-sip`. `worker_id` follows
    once it is known that they have the call."""
    dialler_journal: str = ""
    """Of which of their journals it would be known (`api.outside.phones.Dialler`)."""
    retry: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """After what, when and how often they are called again (`schemas.Retry`); None: never."""
    tries: int = 1
    """Which try this is."""
    retry_of: str | None = None
    """The try before."""
    redial_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    """When the next try is due; None once it was made."""
    ring_seconds: int | None = None
    """How long it may ring, where whoever asked for the call says so."""
    headers: dict[str, str] | None = Field(default=None, sa_column=Column("sip_headers", Json))
    """What goes along with our INVITE."""
    rang_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Of a call of ours, by the carrier's word."""
    sip_code: int | None = None
    """The last word of the carrier: why a call was not answered, or 200."""
    sip_reason: str | None = None
    bridged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the agent left and the caller talked on with somebody else, through the exchange."""
    line_ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the exchange saw it end; it may tell so before the worker's last event comes."""
    room_name: str | None = Field(default=None, unique=True)
    participant_identity: str = ""
    participant_name: str = ""
    variables: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    extra: dict[str, Any] | None = Field(default=None, sa_column=Column("metadata", Json))
    reception: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """What comes before the agent of a call that comes in, as it was decided when it rang."""
    queue: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """Of a caller for whom no line was free (`api.calls.queueing`)."""
    forwarded_to: str | None = None
    """Whom it is for in the place of an agent that is not there (`api.calls.forwarding`)."""
    max_duration_seconds: int | None = None
    """A bound of this call alone; the agent's own holds as well."""

    attempt: int = 0
    """The newest attempt; what it is about stands in its `CallAttemptRow`."""
    deaths: int = 0
    """How many of its processes died."""
    worker_id: str | None = Field(default=None, index=True)
    briefed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    disconnection_reason: str | None = Field(default=None, max_length=500)
    is_presumed: bool = False
    """True while the end is only what the api concluded; the worker's own word replaces it."""
    hang_up_reason: str | None = None
    """Somebody ordered this call to end; the worker is told until it did."""

    transcript: str | None = Field(default=None, sa_column=Column(Text))
    recording_bytes: int | None = Field(default=None, sa_column=Column(BigInteger))
    recording_ms: int | None = None
    is_recorded: bool | None = None
    """Whether it is recorded; None: as its agent says."""
    token_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retention_days: int | None = None
    """How long its agent kept what was said, when it was settled; for when the agent is gone."""
    forgotten_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When recording and words were removed because they were older than that."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)

    @property
    def is_phone(self) -> bool:
        """On a telephone, by our own exchange: it has no room."""
        return self.call_type == "phone_call" and self.room_name is None

    @property
    def is_over(self) -> bool:
        """True once the call has an end, presumed or told."""
        return self.status not in RUNNING

    @property
    def other_number(self) -> str | None:
        """The number on the other side, where a telephone told one."""
        return self.to_number if self.direction == "outbound" else self.from_number

    @property
    def duration_ms(self) -> int | None:
        """From the agent's start to the end; None before that, 0 for a call that never began."""
        if self.ended_at is None:
            return None
        if self.started_at is None:
            return 0
        return max(0, round((self.ended_at - self.started_at).total_seconds() * 1000))

    @property
    def agent_ms(self) -> int:
        """As much of its duration as the agent was there: all of it, unless two were put through."""
        whole = self.duration_ms or 0
        if self.bridged_at is None or self.started_at is None:
            return whole
        return min(whole, max(0, round((self.bridged_at - self.started_at).total_seconds() * 1000)))


class CallCountRow(SQLModel, table=True):
    """How many calls an owner had until a moment (`api.calls.counting`)."""

    __tablename__ = "call_counts"

    owner_id: str = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    until: datetime = Field(sa_type=UtcDateTime, index=True)
    calls: dict[str, int] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    """By agent, status and direction, with a space between them."""


class CallAttemptRow(SQLModel, table=True):
    """One attempt at a call. Without a job it waits for one: its predecessor's process died."""

    __tablename__ = "call_attempts"

    call_id: str = Field(primary_key=True, foreign_key="calls.id", ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    job_id: str | None = None
    asked_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """When this attempt became the newest."""
    dispatched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    briefed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    replaced_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When another became the newest (`attempts.Replaced`)."""
    is_presumed: bool = False
    """The one before was only silent: nobody has said that its process is gone, and it may live."""


class CallEventRow(SQLModel, table=True):
    """One event as the worker sent it. The primary key is what accepts it only once."""

    __tablename__ = "call_events"

    call_id: str = Field(primary_key=True, foreign_key="calls.id", ondelete="CASCADE")
    sequence: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    attempt: int
    kind: str
    at: datetime = Field(sa_type=UtcDateTime)
    payload: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))


class CallActionRow(SQLModel, table=True):
    """What became of one action that an agent's owner wants after a call."""

    __tablename__ = "call_actions"

    call_id: str = Field(primary_key=True, foreign_key="calls.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    type: str
    name: str = ""
    outcome: str = "asked"
    """`asked` (its delivery says more), `done`, `skipped` (the condition does not hold), `failed`."""
    detail: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class CallUsageRow(SQLModel, table=True):
    """What a call used: written once, by its settlement; corrected by events that come later."""

    __tablename__ = "call_usage"

    call_id: str = Field(primary_key=True)
    """No foreign key: what was used is kept when a call is deleted."""
    owner_id: str = Field(index=True)
    agent_id: str | None = None
    duration_ms: int = Field(sa_type=BigInteger)
    """A clock that was wrong for a moment makes a call of months; its settlement must still end."""
    user_talk_ms: int = Field(sa_type=BigInteger)
    agent_talk_ms: int = Field(sa_type=BigInteger)
    turns: int
    llm_input_tokens: int = 0
    llm_output_tokens: int = 0
    tts_characters: int = 0
    stt_seconds: float = 0.0
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class CallAnalysisRow(SQLModel, table=True):
    """What a call was about. `asked` counts the requests to a model that may have been paid for."""

    __tablename__ = "call_analyses"

    call_id: str = Field(primary_key=True, foreign_key="calls.id", ondelete="CASCADE")
    generation: int = 1
    """Raised each time somebody wants it found out anew."""
    is_pending: bool = Field(default=True, index=True)
    asked: int = 0
    analysis: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """None until it is first known; the fields of `pipelines.extraction.Analysis`."""
    failure: str | None = Field(default=None, max_length=500)
    """Why a model that was there did not make it."""
    input_tokens: int = 0
    output_tokens: int = 0
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
