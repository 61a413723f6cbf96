"""SIP for asyncio: endpoints, transactions, dialogs, digest, registration, session timers. No policy, no SDP.

    carrier = Admission(sources=("203.0.113.0/24",))
    async with Engine([Listener("udp", "0.0.0.0", 5060)], admission=carrier) as engine:
        async for dialog in engine.invitations():
            dialog.ring()
            dialog.answer(sdp)
            async for event in dialog.events():
                ...

The engine runs on a thread of its own (`call2me_sip`, in Rust, built here from `src/`): its timers and
retransmissions go on while Python is busy. Everything here belongs to the event loop that started the engine,
and is called from it. Bodies are bytes and never looked into. A URI is written
`sip:user@host:port;transport=tcp`."""

from worker.exchange.sip.dialog import Dialog
from worker.exchange.sip.engine import Engine
from worker.exchange.sip.errors import (
    AddressInUse,
    BadSnapshot,
    BadUri,
    EngineMissing,
    NotNow,
    Overloaded,
    SipError,
)
from worker.exchange.sip.events import (
    Answered,
    Confirmed,
    Ended,
    Event,
    Info,
    Notified,
    Offer,
    Progress,
    Referred,
    Request,
)
from worker.exchange.sip.messages import SDP, Header, Headers, Invitation, Reply, Transport
from worker.exchange.sip.native import is_installed
from worker.exchange.sip.registration import Registered, Registration, RegistrationFailed
from worker.exchange.sip.settings import Account, Admission, Credential, Listener, Reach, Stats, Timing

__all__ = [
    "SDP",
    "Account",
    "AddressInUse",
    "Admission",
    "Answered",
    "BadSnapshot",
    "BadUri",
    "Confirmed",
    "Credential",
    "Dialog",
    "Ended",
    "Engine",
    "EngineMissing",
    "Event",
    "Header",
    "Headers",
    "Info",
    "Invitation",
    "Listener",
    "NotNow",
    "Notified",
    "Offer",
    "Overloaded",
    "Progress",
    "Reach",
    "Referred",
    "Registered",
    "Registration",
    "RegistrationFailed",
    "Reply",
    "Request",
    "SipError",
    "Stats",
    "Timing",
    "Transport",
    "is_installed",
]
