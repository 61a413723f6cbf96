"""Wire models of notifications."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.http.wire import Wire
from pipelines.conditions import BadCondition, read

Channel = Literal["whatsapp", "sms", "email", "custom_url"]
RecipientKind = Literal["owner", "caller", "fixed", "team"]
Trigger = Literal["call_ended", "chat_ended"]
Destination = Annotated[str, Field(max_length=2048)]
Template = Annotated[str, Field(max_length=10_000)]


def _readable(condition: dict[str, Any]) -> dict[str, Any]:
    try:
        read(condition)
    except BadCondition as error:
        raise ValueError(str(error)) from None
    return condition


def _small(given: dict[str, Any]) -> dict[str, Any]:
    if len(given) > 50 or any(len(name) > 100 or len(str(value)) > 2000 for name, value in given.items()):
        raise ValueError("At most 50 of them, with 2,000 characters each.")
    return given


Condition = Annotated[dict[str, Any], AfterValidator(_small), AfterValidator(_readable)]
"""`{"field", "operator", "value"}` over what is known of the call; empty: always."""
Variables = Annotated[dict[str, Any], AfterValidator(_small)]


class TargetCreate(Wire):
    """Somebody to be told."""

    channel: Channel
    """`custom_url` is a webhook. `whatsapp` is 501, and so is `sms` where no carrier is set up."""
    destination: Destination | None = None
    """An https address, an address to write to, or a number in E.164."""
    recipient_kind: RecipientKind = "fixed"
    """Of a letter: `fixed` is the destination, `owner` the account, `team` it and its members, `caller` the
    `email` that was found out in the call. Of a text: `fixed`, or `caller`, the number on the other side."""
    trigger_event: Trigger = "call_ended"
    condition: Condition = Field(default_factory=dict)
    template: Template | None = None
    """With `{{name}}` for what is known of the call, and for `template_vars`."""
    template_vars: Variables = Field(default_factory=dict)
    active: bool = True


class TargetUpdate(Wire):
    """What to change; what is not sent stays."""

    channel: Channel | None = None
    destination: Destination | None = None
    recipient_kind: RecipientKind | None = None
    trigger_event: Trigger | None = None
    condition: Condition | None = None
    template: Template | None = None
    template_vars: Variables | None = None
    active: bool | None = None


class NotificationTarget(Wire):
    """Somebody who is told."""

    target_id: str
    agent_id: str
    user_id: str
    channel: Channel
    destination: str | None
    recipient_kind: RecipientKind
    trigger_event: Trigger
    condition: dict[str, Any]
    template: str | None
    template_vars: dict[str, Any]
    active: bool
    created_at: datetime | None
    updated_at: datetime | None


class Notification(Wire):
    """What became of one notification."""

    target_id: str
    channel: Channel
    outcome: Literal["asked", "sent", "skipped", "failed"]
    """`asked`: under way; of a webhook its delivery says more. A text is `sent` once the carrier has it."""
    detail: str
    created_at: datetime
