"""What api and exchange tell each other over HTTP: trunks, calls that come in, and how calls go."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from pipelines.contract.actions import Action
from pipelines.contract.message import Message

MOST_PLACES = 25
"""In one message: what it writes is written in one transaction."""


class SipTrunk(Message):
    """One carrier or PBX, as the exchange needs it."""

    trunk_id: str
    server: str
    """`host` or `host:port`."""
    proxies: tuple[str, ...] = ()
    transport: Literal["udp", "tcp", "tls"] = "udp"
    username: str = ""
    password: Annotated[str, Field(repr=False)] = ""
    registers: bool = False
    allowed_addresses: tuple[str, ...] = ()
    """Addresses and networks that its calls come from; empty: where `server` and `proxies` are."""
    caller_id: str = ""
    asserts_identity: bool = False
    """Its INVITEs name who calls in P-Asserted-Identity, too."""


class SipTrunks(Message):
    """Every trunk that is in use, whoever it belongs to."""

    trunks: tuple[SipTrunk, ...]


class PhoneRang(Message):
    """Somebody calls a number. The same `sip_call_id` again gets the same call."""

    worker_id: str
    sip_call_id: Annotated[str, Field(min_length=1, max_length=300)]
    trunk_id: str
    to_number: Annotated[str, Field(max_length=100)]
    from_number: Annotated[str, Field(max_length=100)] = ""
    from_name: Annotated[str, Field(max_length=200)] = ""
    headers: Annotated[dict[str, Annotated[str, Field(max_length=500)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Those whose names begin with X-."""
    is_busy: bool = False
    """No line is free: only what is owed to the caller afterwards is asked for, and 409 is the answer."""
    is_unheld: bool = False
    """With `is_busy`: no process could hold it now, and its carrier may try elsewhere. 425 where it is not
    forwarded: nothing is on record then."""
    diverted_by: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=8)] = ()
    """Numbers that it was forwarded from, where carriers tell (Diversion, History-Info)."""
    queued: Annotated[int, Field(ge=0)] | None = None
    """No line is free, and so many wait at this number already. 409 is the answer where that is enough, 425
    where its callers do not stand in a queue: nothing is on record then."""


class PhoneOnward(Message):
    """It may: whom to dial, and from which number of ours."""

    to_number: str
    """As the trunk's carrier wants it dialled."""
    from_number: str
    server: str = ""
    """The trunk's; empty where there is none, or from an api of before this was told."""


class PhoneForward(PhoneOnward):
    """No agent takes the call: whoever is named here is called instead, and has it once they answer."""

    seconds: float
    """The two may talk."""


class PhoneQueue(Message):
    """The caller is to wait in the queue until a line is free."""

    is_answered: bool = True
    """False: they hear it as early media, before anything is answered."""


class PhoneRoute(Message):
    """Whom it is for: the call's row is there, and a brief can be asked for."""

    call_id: str
    apart: str = ""
    """Only calls with the same word may share its process; empty: any that have none."""
    queue: PhoneQueue | None = None
    forward: PhoneForward | None = None


class PhoneTold(Message):
    """How a call goes at the carrier. `ended` is told once more after the agent's own end: for the code."""

    worker_id: str
    state: Literal["ringing", "queued", "answered", "ended", "steered"]
    """`steered`: no agent is in the call any more, and somebody has done this with it."""
    action: Action | None = None
    place: Annotated[int, Field(ge=0)] = 0
    """In the queue: 1 is the next, 0 has a line."""
    sip_code: Annotated[int, Field(ge=0, le=699)] = 0
    """0 where SIP never got an answer: `sip_reason` says why."""
    at: AwareDatetime | None = None
    """When it happened: the api may have been away for a while."""
    sip_reason: Annotated[str, Field(max_length=200)] = ""
    is_unsure: bool = False
    """Of an end: the exchange that was to call them died, and nothing says whether it rang there."""


class PlaceTold(Message):
    """Where a caller stands."""

    call_id: str
    place: Annotated[int, Field(ge=0)]
    at: AwareDatetime | None = None


class PlacesTold(Message):
    """Many places at once, in their order: all of a queue move when somebody in front is gone."""

    worker_id: str
    places: Annotated[tuple[PlaceTold, ...], Field(max_length=MOST_PLACES)]


class PhoneOnwardAsked(Message):
    """The exchange is to hand a call to this number, and asks whether it may."""

    to_number: Annotated[str, Field(min_length=1, max_length=100)]
