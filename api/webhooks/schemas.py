"""What webhooks look like on the wire."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, SecretStr, model_validator

from api.http.pages import Page
from api.http.wire import Wire
from api.webhooks.events import Choice
from api.webhooks.table import WebhookDeliveryRow, WebhookEndpointRow, WebhookEventRow, WebhookTryRow

Url = Annotated[str, Field(min_length=1, max_length=2048)]
Description = Annotated[str, Field(max_length=200)]
Filter = Annotated[list[Choice], Field(max_length=30)]
"""Event types, `call.*` or `*`. Empty: one event for each call, payment or campaign."""
Secret = Annotated[SecretStr, Field(min_length=16, max_length=200)]
Status = Literal["pending", "delivered", "dead"]


class WebhookSettings(Wire):
    """The account's own endpoint, as the official SDKs know it."""

    webhook_url: Url
    webhook_secret: Secret | None = None
    """Made where none is sent and there was none."""


class WebhookConfigured(Wire):
    """The same, kept. The secret is shown only by the request that set it."""

    webhook_url: str | None
    has_secret: bool
    webhook_secret: str | None = None
    endpoint_id: str | None = None


class EndpointCreate(Wire):
    """One more address that is told."""

    url: Url
    description: Description = ""
    events: Filter = Field(default_factory=list)
    retries_for_a_day: bool = False
    """After the first try and three more, try hourly for a day."""


class EndpointUpdate(Wire):
    """What to change about an endpoint."""

    url: Url | None = None
    description: Description | None = None
    events: Filter | None = None
    retries_for_a_day: bool | None = None
    is_enabled: bool | None = None


class Endpoint(Wire):
    """An address that is told."""

    endpoint_id: str
    url: str
    description: str
    events: list[str]
    retries_for_a_day: bool
    is_default: bool
    is_enabled: bool
    disabled_why: str | None
    failing_since: datetime | None
    secret: str | None = None
    """Shown when it was made, and never again."""
    previous_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: WebhookEndpointRow, secret: str | None = None) -> "Endpoint":
        """A row without its secret, unless that is given."""
        return cls(
            endpoint_id=row.id,
            url=row.url,
            description=row.description,
            events=row.events,
            retries_for_a_day=row.retries_for_a_day,
            is_default=row.is_default,
            is_enabled=row.disabled_at is None and bool(row.url),
            disabled_why=row.disabled_why,
            failing_since=row.failing_since,
            secret=secret,
            previous_secret_until=row.previous_until,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class DeliveryQuery(Page):
    """Which deliveries."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    status: Status | None = None
    event: str | None = None
    call_id: str | None = None
    endpoint_id: str | None = None


class Try(Wire):
    """One try: what was sent besides the body, and what was answered."""

    number: int
    status_code: int | None
    error: str | None
    answer: str
    headers: dict[str, Any]
    duration_ms: float
    at: datetime

    @classmethod
    def of(cls, row: WebhookTryRow) -> "Try":
        """A row."""
        return cls.model_validate(row)


class Delivery(Wire):
    """One event on its way to one address."""

    delivery_id: str
    event_id: str
    event: str
    call_id: str | None
    endpoint_id: str | None
    """None for an agent's own URL."""
    url: str
    status: Status
    tries: int
    next_try_at: datetime | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: WebhookDeliveryRow, event: WebhookEventRow) -> "Delivery":
        """A row."""
        return cls(**_delivery(row, event))


class DeliveryDetail(Delivery):
    """The same with what was sent and every answer."""

    body: str
    attempts: list[Try]

    @classmethod
    def told(
        cls, row: WebhookDeliveryRow, event: WebhookEventRow, tries: list[WebhookTryRow]
    ) -> "DeliveryDetail":
        """A row with its tries, in order."""
        return cls(**_delivery(row, event), body=event.body, attempts=[Try.of(one) for one in tries])


class DeliveryList(Wire):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    total: int


class ReplayRange(Wire):
    """Which deliveries to make anew, at most 1000 at a time, the oldest first."""

    since: AwareDatetime
    until: AwareDatetime
    status: Literal["delivered", "dead"] = "dead"
    endpoint_id: Annotated[str, Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _forwards(self) -> "ReplayRange":
        if not timedelta() < self.until - self.since <= timedelta(days=90):
            raise ValueError("until must be after since, and within 90 days of it")
        return self


class Replayed(Wire):
    """How many deliveries were begun anew."""

    replayed: int


def _delivery(row: WebhookDeliveryRow, event: WebhookEventRow) -> dict[str, Any]:
    return {
        "delivery_id": row.id,
        "event_id": event.id,
        "event": event.type,
        "call_id": event.call_id,
        "endpoint_id": row.target if row.target.startswith("we_") else None,
        "url": row.url,
        "status": row.status,
        "tries": row.tries,
        "next_try_at": row.due_at if row.status == "pending" else None,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
    }
