"""Wire models of the public endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.auth.schemas import Email
from api.http.wire import Wire
from api.public.table import EventRow


class DemoCallRequest(Wire):
    """Please call me. `website` is a trap for programs: people do not see it."""

    phone_number: Annotated[str, Field(min_length=3, max_length=40)]
    """With a plus and a country code, or as dialled within the United States."""
    name: Annotated[str, Field(max_length=200)] = ""
    agent_id: Annotated[str, Field(max_length=100)] = ""
    website: Annotated[str, Field(max_length=500)] = ""


class DemoCall(Wire):
    """Whether somebody will call."""

    success: bool
    message: str
    call_id: str = ""


class ContactRequest(Wire):
    """A message to whoever runs this installation. `website` is a trap for programs: people do not see it."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    email: Email
    company: Annotated[str, Field(max_length=200)] = ""
    subject: Annotated[str, Field(max_length=200)] = "General Inquiry"
    message: Annotated[str, Field(min_length=1, max_length=5000, pattern=r"\S")]
    website: Annotated[str, Field(max_length=500)] = ""


class ContactReply(Wire):
    """It arrived."""

    success: bool
    message: str


class SubscribeRequest(Wire):
    """Somebody wants the newsletter."""

    email: Email
    source: Annotated[str, Field(max_length=32)] = "unknown"


class SubscribeReply(Wire):
    """`already_subscribed`: this address was confirmed before. Else a letter asks its owner."""

    ok: bool
    already_subscribed: bool | None = None


class LinkQuery(Wire):
    """The token of a link in a letter."""

    token: Annotated[str, Field(min_length=1, max_length=2000)]


class SubscriptionReply(Wire):
    """What the link did."""

    ok: bool
    email: str
    status: Literal["confirmed", "unsubscribed"]


Severity = Literal["critical", "error", "warning", "info", "debug"]


class EventReport(Wire):
    """Something that happened in an application of yours."""

    type: Annotated[str, Field(min_length=1, max_length=64)]
    source: Annotated[str, Field(min_length=1, max_length=32)]
    message: Annotated[str, Field(min_length=1, max_length=2000)]
    severity: Annotated[str, Field(max_length=16)] | None = None
    """Without one, or with an unknown one, the type decides."""
    tenant: Annotated[str, Field(max_length=32)] | None = None
    session_id: Annotated[str, Field(max_length=128)] | None = None
    fingerprint: Annotated[str, Field(max_length=64)] | None = None
    meta: dict[str, Any] | None = None
    """At most 8 kB as JSON; what is larger is not kept."""


class EventReceipt(Wire):
    """It was heard. Nothing is gained by sending it again."""

    accepted: Literal[True] = True
    severity: Severity
    archived: bool


class EventQuery(Wire):
    """Which events."""

    severity: Severity | None = None
    type: Annotated[str, Field(max_length=64)] | None = None
    fingerprint: Annotated[str, Field(max_length=64)] | None = None
    hours: Annotated[int, Field(ge=1, le=720)] = 24
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class Event(Wire):
    """An event that was kept."""

    event_id: str
    type: str
    source: str
    severity: Severity
    message: str
    tenant: str | None = None
    session_id: str | None = None
    fingerprint: str | None = None
    meta: dict[str, Any] | None = None
    user_id: str | None = None
    created_at: datetime

    @classmethod
    def of(cls, row: EventRow) -> "Event":
        """A row as the wire has it."""
        return cls.model_validate({**row.model_dump(), "event_id": row.id, "user_id": row.owner_id})


class EventList(Wire):
    """The newest of the events that were kept, and how many there are."""

    events: list[Event]
    total: int


class Stats(Wire):
    """Figures of this installation. There is no interpreting here, so `language_pairs` is 0."""

    calls: int
    minutes: int
    accounts: int
    language_pairs: int = 0
