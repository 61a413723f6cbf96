"""Wire models of voice tokens."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.calls.transcripts import TranscriptEntry
from api.http.wire import Wire

Variables = Annotated[dict[str, Any], Field(max_length=200)]


class TokenRequest(Wire):
    """Who wants to talk to whom. Every field is optional: without an agent it is the newest one."""

    agent_id: Annotated[str, Field(max_length=100)] | None = None
    room_name: Annotated[str, Field(max_length=200)] | None = None
    """A label. Each call has a room of its own; the name of your own running call's room joins that again."""
    participant_name: Annotated[str, Field(max_length=200)] | None = None
    user_identity: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    context: Variables | None = None
    """Values for `{{name}}` in the agent's texts."""
    contact_id: Annotated[str, Field(max_length=50)] | None = None
    """One of your contacts: the agent knows their name and variables, and listens for the name."""
    metadata: dict[str, Any] | None = None
    """Kept with the call."""
    max_duration_sec: Annotated[int, Field(ge=1, le=7200)] | None = None
    """The call ends after this, or after the agent's own limit where that is shorter."""


class SessionRequest(Wire):
    """Who wants a session with which agent."""

    agent_id: Annotated[str, Field(min_length=1, max_length=100)]
    context: Variables | None = None
    contact_id: Annotated[str, Field(max_length=50)] | None = None
    external_user_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """The person in your own system; kept with the call."""
    metadata: dict[str, Any] | None = None
    max_duration_sec: Annotated[int, Field(ge=1, le=7200)] | None = None


class VoiceSession(Wire):
    """What became of a session. Money in US dollars."""

    room_name: str
    call_id: str
    status: str
    duration_sec: float
    cost_usd: float | None
    transcript: list[TranscriptEntry]


class TokenWarning(Wire):
    """The call works, but not as the agent asks for."""

    code: str
    message: str


class Token(Wire):
    """What a LiveKit client connects with. Signs in one person, to one room."""

    token: str
    url: str
    room_name: str
    call_id: str
    expires_in: int
    """Seconds in which the token must be used."""
    session_limit_sec: int
    participant_identity: str
    warnings: list[TokenWarning]


class VoiceHealth(Wire):
    """Whether a call could be answered now, and what is missing where not."""

    status: Literal["healthy", "unhealthy"]
    configured: bool
    url: str
    livekit: Literal["up", "down"]
    workers: int
    detail: str


class EventTaken(Wire):
    """The event is known."""

    received: Literal[True] = True
