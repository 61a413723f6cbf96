"""What test calls look like on the wire."""

from typing import Annotated, Literal

from pydantic import Field

from api.calls.schemas import E164
from api.http.wire import Wire
from pipelines.contract.events import MediaQuality

Registration = Literal["registered", "not_registered", "not_needed"]


class TrunkCallCreate(Wire):
    """Whom a test call goes to, and what they hear."""

    to_number: E164
    from_number: E164 | None = None
    """One of your own numbers; left out, what the trunk shows, else a number that is bound to it."""
    agent_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """In whose voice and language it is said; left out, in a voice of this installation."""
    say: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """Left out, it says that this is a test call and asks for a key to be pressed."""
    ring_timeout_seconds: Annotated[int, Field(ge=5, le=120)] = 40
    """Longer than the 32 seconds after which SIP knows that nobody is there."""
    wait: bool = True
    """False: answered at once, with 202; what is seen stands where `Location` says."""


class TrunkCall(Wire):
    """What was seen of a test call. What is not known, or not yet, is null."""

    call_id: str
    trunk_id: str
    is_over: bool
    success: bool | None
    """Somebody answered, the sentence was said, and sound came back. Null where sound is not measured."""
    summary: str
    """What happened."""
    advice: list[str]
    """What to look at, the likeliest first."""
    to_number: str
    from_number: str | None
    call_status: str
    registration: Registration
    registration_detail: str
    """Why not, in the carrier's words and ours; empty where it is in order."""
    sip_code: int | None
    """What the carrier said: 200 for a call that was answered; null where nothing was said."""
    sip_reason: str | None
    seconds_to_ring: float | None
    seconds_to_answer: float | None
    codec: str | None
    was_said: bool
    """The sentence was said to its end."""
    key_pressed: str | None
    """By whoever was called: they heard it, and we hear them."""
    media: MediaQuality | None
    """Packets both ways, loss, jitter and MOS."""
