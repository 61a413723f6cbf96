"""Text messages on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.http.pages import MAX_OFFSET
from api.http.wire import Wire
from api.sms.table import SmsRow
from api.telephone import E164

MOST_CHARACTERS = 1600


class SmsCreate(Wire):
    """A message to send. Without `from`, from the only number that was bought."""

    sender: E164 | None = Field(default=None, alias="from")
    to: E164
    text: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, pattern=r"\S")]


class SmsQuery(Wire):
    """Which messages; `number` is one of yours, or of the other side."""

    direction: Literal["inbound", "outbound"] | None = None
    number: Annotated[str, Field(max_length=50)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0


class Sms(Wire):
    """A message. One that came in is `received`; one that is sent goes from `queued` to `sent`, and where the
    receiver's network tells it, to `delivered`, `failed` or `unconfirmed`.
    """

    sms_id: str
    direction: Literal["inbound", "outbound"]
    sender: str = Field(serialization_alias="from")
    to: str
    text: str
    segments: int
    status: Literal["received", "queued", "sent", "delivered", "failed", "unconfirmed"]
    error: str | None
    """Why it failed, or why nobody answers it."""
    agent_id: str | None
    session_id: str | None
    """The chat that it is part of."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: SmsRow) -> "Sms":
        """A row as the wire has it."""
        ends = (row.peer, row.number) if row.direction == "inbound" else (row.number, row.peer)
        told: dict[str, Any] = {**row.model_dump(), "sms_id": row.id, "error": row.why}
        return cls.model_validate({**told, "sender": ends[0], "to": ends[1], "session_id": row.chat_id})


class SmsList(Wire):
    """A page of messages, newest first."""

    messages: list[Sms]
    total: int
    limit: int
    offset: int
