"""Wire models of the phone line."""

from typing import Annotated, Literal

from pydantic import Field

from api.http.wire import Wire

Number = Annotated[str, Field(min_length=1, max_length=100)]


class SipDispatch(Wire):
    """A SIP gateway has a caller. The same `call_id` again is the same call."""

    call_id: Annotated[str, Field(min_length=1, max_length=300)]
    from_number: Annotated[str, Field(max_length=100)]
    to_number: Number
    trunk_id: Annotated[str, Field(max_length=50)] | None = None


class SipDispatched(Wire):
    """Where the gateway brings its caller, and as whom."""

    room_name: str
    participant_identity: str
    participant_name: str
    metadata: str | None = None
    """JSON with our `call_id`."""


class DispatchRule(Wire):
    """Calls to this number go to this agent."""

    number: str
    agent_id: str
    trunk_id: str
    registered: bool | None
    """None: the trunk needs no registration, or no exchange told of it."""


class DispatchRules(Wire):
    """How calls are dispatched now."""

    success: bool
    message: str
    rules: list[DispatchRule]


class TrunkHealth(Wire):
    """One of your trunks that are in use."""

    trunk_id: str
    name: str
    registers: bool
    """Whether calls reach us through a registration; without one the carrier calls our address."""
    registered: bool | None
    """None: it needs no registration, or no exchange told of it."""
    detail: str


class SipHealth(Wire):
    """Whether telephones work now, and what is missing where not."""

    status: Literal["healthy", "degraded", "unhealthy"]
    """`degraded`: calls can be placed and taken, but not over every trunk of yours."""
    exchange: Literal["up", "down"]
    trunks: list[TrunkHealth]
    detail: str
