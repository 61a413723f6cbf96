"""What is said to the engine once, and what it counts."""

from dataclasses import dataclass
from pathlib import Path

from worker.exchange.sip.messages import Transport


@dataclass(frozen=True)
class Listener:
    """Where we listen.

    `host` is an IP address; `port` 0 takes a free one. `advertised` ("198.51.100.7", or with ":5060") is what
    Contact and Via say instead, for a machine behind NAT with a fixed mapping. TLS needs `certificate` and
    `private_key` (PEM; the key as PKCS #8 or RSA)."""

    transport: Transport
    host: str
    port: int = 0
    advertised: str | None = None
    certificate: Path | None = None
    private_key: Path | None = None


@dataclass(frozen=True)
class Admission:
    """Who may begin something with us: INVITE, OPTIONS and all else outside of a dialog.

    Decided on the engine's thread before any of it reaches Python. Requests inside of a dialog of ours and
    responses are not touched by it.

    `sources`: networks, as CIDR; None lets everybody in, () nobody. `refuse_with`: None drops without a word,
    else the status that is answered, as often as `per_second` and `burst` say. `per_second` and `burst`: how
    much one address may begin; beyond, it is dropped. `connections`: how many over TCP and TLS one address
    may have open to us; one more is closed, and so is any of whoever is dropped without a word."""

    sources: tuple[str, ...] | None = ()
    refuse_with: int | None = None
    per_second: float = 20.0
    burst: int = 60
    connections: int = 32


@dataclass(frozen=True)
class Reach:
    """Where the name of a registrar, a proxy or whoever is called may lead.

    `refused`: networks, as CIDR; what a name server says of them is not used, and where nothing else is left,
    nothing is sent. `exempt`: names that may lead there all the same, each at one port or, with None, at any.
    An address that is given as such is not looked at, nor what a far end says inside of a dialog."""

    refused: tuple[str, ...] = ()
    exempt: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, repr=False)
class Credential:
    """Answers a digest challenge (401, 407; MD5, SHA-256). The realm is not compared."""

    username: str
    password: str
    auth_username: str | None = None


@dataclass(frozen=True)
class Timing:
    """Every wait, in seconds.

    `connect_seconds`: a TCP connection or TLS handshake that takes longer has failed. `try_next_seconds`: no
    answer at all over UDP for so long, and another address is known: it is tried (RFC 3263 §4.3).
    `session_seconds`: the Session-Expires that we ask for, 0 asks for none. `min_session_seconds`: Min-SE;
    less is answered with 422. `t1_seconds`: RFC 3261's estimate of a round trip; a packet is first repeated
    after it, and a transaction is given up after 64 of them."""

    connect_seconds: float = 5.0
    try_next_seconds: float = 4.0
    session_seconds: int = 1800
    min_session_seconds: int = 90
    t1_seconds: float = 0.5


@dataclass(frozen=True)
class Account:
    """What `Engine.register` needs.

    `registrar`: "sip:carrier.example", which becomes To, From and the request's URI. `proxies`: where to send
    it instead, tried in order. `contact_user`: the user in our Contact, else the credential's."""

    registrar: str
    credential: Credential
    proxies: tuple[str, ...] = ()
    expires_seconds: int = 300
    contact_user: str | None = None


@dataclass(frozen=True)
class Stats:
    """`transactions` are also those that are over and kept for repetitions. `waiting_events` are in the
    engine's queue and not yet with Python, `dropped_requests` are admission's, `refused_invitations` got a
    503 since Python did not keep up."""

    dialogs: int
    transactions: int
    waiting_events: int
    dropped_requests: int
    refused_invitations: int
