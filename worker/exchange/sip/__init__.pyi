"""SIP for asyncio: endpoints, transactions, dialogs, digest, registration, session timers. No policy, no SDP.

    carrier = Admission(sources=("203.0.113.0/24",))
    async with Engine([Listener("udp", "0.0.0.0", 5060)], admission=carrier) as engine:
        async for dialog in engine.invitations():
            dialog.ring()
            dialog.answer(sdp)
            async for event in dialog.events():
                ...

The engine runs on a thread of its own (`call2me_sip`, in Rust): its timers and retransmissions go on while
Python is busy. Everything here belongs to the event loop that started the engine, and is called from it.
Bodies are bytes and never looked into. A URI is written `sip:user@host:port;transport=tcp`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Transport = Literal["udp", "tcp", "tls"]
Header = tuple[str, str]

SDP = "application/sdp"

# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────

class SipError(Exception):
    """SIP could not do what it was asked"""

class EngineMissing(SipError):
    """The SIP engine is not installed: make phones"""

class AddressInUse(SipError):
    """A listener could not be opened: the address is taken or not ours, or its certificate is no good"""

class BadUri(SipError):
    """A URI, header or address that SIP cannot carry"""

class NotNow(SipError):
    """The dialog is not in a state in which this may be done"""

class Overloaded(SipError):
    """More orders are waiting in the engine than it takes"""

class BadSnapshot(SipError):
    """A snapshot that no dialog can be made of"""

def is_installed() -> bool:
    """Whether the engine's wheel is there (`make phones`). All of this module but `Engine` works without
    it."""

# ── what is said once, at the start ─────────────────────────────────────────────────────────────────────────

@dataclass(frozen=True)
class Listener:
    """Where we listen. `port` 0 takes a free one. `advertised` ("198.51.100.7" or with ":5060") is what
    Contact and Via say instead, for a machine behind NAT with a fixed mapping. TLS needs `certificate` and
    `private_key` (PEM)."""

    transport: Transport
    host: str
    port: int = 0
    advertised: str | None = None
    certificate: Path | None = None
    private_key: Path | None = None

@dataclass(frozen=True)
class Admission:
    """Who may begin something with us (INVITE, OPTIONS and all else outside of a dialog); decided on the
    engine's thread, before any of it reaches Python. Requests inside of a dialog and responses are not
    touched by it.

    `sources`: networks, as CIDR; None lets everybody in, () nobody. `refuse_with`: None drops without a word,
    else the status that is answered. `per_second` and `burst`: how much one address may begin; beyond, it is
    dropped."""

    sources: tuple[str, ...] | None = ()
    refuse_with: int | None = None
    per_second: float = 20.0
    burst: int = 60

@dataclass(frozen=True)
class Credential:
    """Answers a digest challenge (401, 407; MD5, SHA-256). `realm` is not compared."""

    username: str
    password: str
    auth_username: str | None = None

@dataclass(frozen=True)
class Timing:
    """Every wait that is ours, in seconds. SIP's own are those of RFC 3261 (T1 0.5, a transaction 32 s)."""

    connect_seconds: float = 5.0
    """A TCP connection or TLS handshake that takes longer has failed."""
    try_next_seconds: float = 4.0
    """No answer at all over UDP for so long, and another address is known: it is tried (RFC 3263 §4.3)."""
    session_seconds: int = 1800
    """Session-Expires that we ask for; 0 asks for none."""
    min_session_seconds: int = 90
    """Min-SE: a shorter one is answered with 422 by the engine."""

# ── what went over the wire ─────────────────────────────────────────────────────────────────────────────────

class Headers(tuple[Header, ...]):
    """A message's headers in their order, under their long names as they were sent."""

    def first(self, name: str) -> str | None:
        """The first value of a header, whatever the case of its name."""
    def every(self, name: str) -> list[str]:
        """All of its values, in order."""

@dataclass(frozen=True)
class Reply:
    """The final answer to a request of ours. When none came: 408 after SIP's 32 s, 503 when there is no
    connection (`is_from_wire` is false then)."""

    code: int
    reason: str
    headers: Headers
    body: bytes
    is_from_wire: bool = True
    @property
    def is_success(self) -> bool:
        """2xx."""

@dataclass(frozen=True)
class Invitation:
    """The INVITE a dialog began with."""

    uri: str
    headers: Headers
    body: bytes
    source: tuple[str, int]
    """The address it came from, as seen on the socket."""
    transport: Transport

# ── what happens in a dialog ────────────────────────────────────────────────────────────────────────────────

@dataclass(frozen=True)
class Progress:
    """Outbound: 180, 183 and the like. A body is early media's answer. `tag` tells forks apart."""

    code: int
    reason: str
    headers: Headers
    body: bytes
    tag: str

@dataclass(frozen=True)
class Answered:
    """Outbound: 2xx came, ACK was sent. Once; other branches of a fork that answer too are ended by the
    engine."""

    code: int
    headers: Headers
    body: bytes

@dataclass(frozen=True)
class Confirmed:
    """Inbound: our 200 was acknowledged. Once. `body` is the answer when the 200 held our offer."""

    body: bytes

class Request:
    """A request inside of a dialog, to be answered within 32 s (else 501 is). A second answer is ignored."""

    method: str
    headers: Headers
    body: bytes
    def accept(self, *, body: bytes = b"", headers: Iterable[Header] = (), content_type: str = SDP) -> None:
        """200, for a REFER 202. The session timer's headers are put in by the engine."""
    def refuse(self, code: int, *, headers: Iterable[Header] = ()) -> None:
        """Any code from 300 up: 488 for SDP that will not do, 491 when one of ours is under way."""

class Offer(Request):
    """A re-INVITE or UPDATE that may change the session (hold is one); also one without a body, which asks
    for an offer. The remote target is refreshed by the engine. An UPDATE without a body that only refreshes
    the session timer is answered by the engine and not told."""

class Info(Request):
    """INFO, or a MESSAGE inside of the dialog; `headers.first("Content-Type")` says of what kind."""

class Referred(Request):
    """REFER: the far side asks us to go elsewhere. After `accept`, tell how it goes with `Dialog.notify`."""

    @property
    def target(self) -> str:
        """Refer-To without its angle brackets."""

@dataclass(frozen=True)
class Notified:
    """NOTIFY; already answered with 200. For one about our REFER `code` is the status in its sipfrag,
    `is_last` whether no more will follow."""

    event: str
    code: int | None
    is_last: bool
    headers: Headers
    body: bytes

@dataclass(frozen=True)
class Ended:
    """Always the last event, exactly once.

    by       far: BYE, CANCEL or a refusal · us: hang_up, cancel, reject · timeout: no answer, no ACK, the
             session timer lapsed · transport: no connection, certificate refused
    code     the final status of an INVITE that was not answered (486, 487, 603, 302 …), 200 after a BYE,
             408 for timeout, 503 for transport
    reason   the Reason header's text as sent, else the status line's, or what went wrong with the connection
    cause    Q.850 cause from the Reason header
    headers  of that final response or BYE: Contact of a 302, Retry-After of a 503
    """

    by: Literal["far", "us", "timeout", "transport"]
    code: int
    reason: str
    cause: int | None
    headers: Headers

Event = Progress | Answered | Confirmed | Offer | Info | Referred | Notified | Ended

# ── a dialog ────────────────────────────────────────────────────────────────────────────────────────────────

class Dialog:
    """One call as SIP sees it, from its INVITE to its end, in either direction."""

    call_id: str
    direction: Literal["inbound", "outbound"]
    invitation: Invitation | None
    """Inbound only; None after a restore, too."""

    @property
    def is_answered(self) -> bool: ...
    @property
    def is_over(self) -> bool:
        """Ended; true before `Ended` is read from `events`."""
    @property
    def local_uri(self) -> str: ...
    @property
    def remote_uri(self) -> str:
        """From or To of the far side, with its display name when it has one."""

    def events(self) -> AsyncIterator[Event]:
        """What happens, from the beginning; ends after `Ended`. One reader. They wait here until read: a
        dialog whose reader has stopped at 256 of them is hung up by the engine (a flood)."""

    # Inbound, before the answer. Each raises NotNow when it is too late.
    def ring(self, *, body: bytes = b"", headers: Iterable[Header] = ()) -> None:
        """180; 183 when there is a body (early media)."""
    def answer(
        self, body: bytes, *, headers: Iterable[Header] = (), credential: Credential | None = None
    ) -> None:
        """200. Repeated by the engine until the ACK comes; none for 32 s: BYE and `Ended(by="timeout")`.
        `credential` answers challenges to our requests later in this dialog."""
    def reject(self, code: int = 603, *, headers: Iterable[Header] = ()) -> None:
        """Any final code from 300 up; headers are for Reason, Retry-After, Contact of a redirection."""

    # Either direction. Each waits for the far side's final answer, 32 s at most; a refusal is no exception.
    async def hang_up(self, *, headers: Iterable[Header] = ()) -> None:
        """Ends it in whatever state it is: CANCEL, 603 or BYE, which is also repeated with the credential
        when challenged. A 200 that crosses the CANCEL is acknowledged and ended. `Ended` follows. Twice does
        no harm."""
    async def reinvite(self, body: bytes, *, headers: Iterable[Header] = ()) -> Reply:
        """A new offer; without a body, a request for one (its answer is then missing from the ACK: avoid).
        491 is tried again by the engine after RFC 3261's wait, twice. NotNow before the answer and after the
        end."""
    async def update(self, body: bytes = b"", *, headers: Iterable[Header] = ()) -> Reply: ...
    async def info(self, body: bytes, content_type: str, *, headers: Iterable[Header] = ()) -> Reply: ...
    async def refer(self, target: str, *, headers: Iterable[Header] = ()) -> Reply:
        """202 means that it was accepted; how it goes comes as `Notified`. 603 and the like: it was not. The
        far side or we hang up when it is done."""
    async def notify(self, code: int, *, is_last: bool = False) -> Reply:
        """How a REFER goes that we accepted, as a sipfrag of this status."""

    def snapshot(self) -> str:
        """All that another process needs to go on with this dialog, as JSON, about 1 kB; no credential and no
        SDP in it. NotNow unless answered (inbound: and acknowledged). Take one after `Answered` or
        `Confirmed`, and after each `Offer`, `reinvite` and `update`. What was sent since does no harm: a
        restored dialog counts on from further up (CSeq may jump, RFC 3261 §12.2.1.1)."""

class Registration:
    """One binding at a registrar, kept until `unregister`: refreshed at three quarters of what was granted;
    when it fails, the next address, then again with a backoff of 1 to 60 s."""

    account: Account
    @property
    def is_registered(self) -> bool: ...
    @property
    def public_address(self) -> tuple[str, int] | None:
        """Where the registrar sees us (received, rport); differs from ours behind NAT."""
    def changes(self) -> AsyncIterator[Registered | RegistrationFailed]:
        """From the first answer on; of those that were not read the newest 16 are kept. One reader."""
    async def unregister(self) -> None:
        """Removes the binding, waiting 2 s at most for the answer, and stops. Twice does no harm."""

@dataclass(frozen=True)
class Registered:
    expires_seconds: int
    server: tuple[str, int]

@dataclass(frozen=True)
class RegistrationFailed:
    """`code` 0: nobody answered or no connection, `reason` says which."""

    code: int
    reason: str
    retry_seconds: float

@dataclass(frozen=True)
class Account:
    """What `register` needs. `registrar`: "sip:carrier.example" with its transport, which becomes To, From
    and the request's URI. `proxies`: where to send it instead, tried in order. `contact_user`: the user in
    our Contact."""

    registrar: str
    credential: Credential
    proxies: tuple[str, ...] = ()
    expires_seconds: int = 300
    contact_user: str | None = None

@dataclass(frozen=True)
class Stats:
    dialogs: int
    transactions: int
    waiting_events: int
    """In the engine's queue, not yet with Python."""
    dropped_requests: int
    """By admission."""
    refused_invitations: int
    """With 503, since Python did not keep up."""

# ── the engine ──────────────────────────────────────────────────────────────────────────────────────────────

class Engine:
    """All of SIP in one process. As a context manager it listens from `async with` on, and leaves no thread
    behind. Leaving does not hang up: dialogs that were answered can be restored in another process."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        admission: Admission = ...,
        timing: Timing = ...,
        user_agent: str = "Call2Me",
        ca_file: Path | None = None,
        nameservers: tuple[str, ...] = (),
        pending_invitations: int = 256,
    ) -> None:
        """`ca_file`: certificates (PEM) that TLS trusts besides the system's. `nameservers`: instead of the
        system's, "127.0.0.1:5353". `pending_invitations`: beyond so many that `invitations` has not handed
        out, the engine itself answers 503 with Retry-After: 2."""
    async def __aenter__(self) -> Self:
        """EngineMissing, AddressInUse."""
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    @property
    def addresses(self) -> list[tuple[Transport, str, int]]:
        """What is listened on, in the order of the listeners; with the port that was taken for 0."""
    def admit(self, admission: Admission) -> None:
        """From now on."""
    def answer_options(self, code: int) -> None:
        """How OPTIONS outside of a dialog is answered from now on: 200 at first, 503 while draining."""
    def invitations(self) -> AsyncIterator[Dialog]:
        """Each INVITE that was admitted, already answered with 100. One reader. A retransmission is not told
        twice; an INVITE that is neither rung, answered nor rejected within 60 s is rejected with 480 by the
        engine."""
    def invite(
        self,
        uri: str,
        body: bytes,
        *,
        caller: str,
        caller_name: str | None = None,
        proxies: Sequence[str] = (),
        credential: Credential | None = None,
        headers: Iterable[Header] = (),
        contact: str | None = None,
        call_id: str | None = None,
        ring_seconds: float = 180.0,
    ) -> Dialog:
        """Sends an INVITE and returns at once; the rest is told by `events`. `uri` is whom: Request-URI and
        To. `caller` is From ("sip:+15551234@carrier.example"). `proxies` says where to send it, in order,
        instead of what `uri` names; each may stand for several addresses by SRV. The next is tried on no
        connection, on no answer over UDP and on 503. `headers` go on the authenticated INVITE too. `contact`
        replaces our own ("sip:+1555@198.51.100.7:5060", behind NAT). Not answered within `ring_seconds`:
        CANCEL and `Ended(by="timeout", code=408)`. A 302 ends it; following it is yours. BadUri."""
    async def options(self, uri: str, *, proxies: Sequence[str] = (), timeout: float = 5.0) -> Reply:
        """Asks whether somebody is there; any reply at all means yes."""
    def register(self, account: Account) -> Registration: ...
    def restore(self, snapshot: str, *, credential: Credential | None = None) -> Dialog:
        """A dialog of another process, or of this one before it died, goes on here: requests of the far side
        reach it from now on. The listeners must have the address it was on. Over TCP and TLS requests of ours
        open a new connection; behind NAT the far side cannot reach us over the old one. BadSnapshot."""
    def stats(self) -> Stats: ...
