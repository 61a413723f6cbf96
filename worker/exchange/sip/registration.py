"""A binding at a registrar, kept by the engine."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from worker.exchange.sip import native
from worker.exchange.sip.settings import Account

_UNREAD = 16


@dataclass(frozen=True)
class Registered:
    """The registrar granted so many seconds; `server` is the address that did."""

    expires_seconds: int
    server: tuple[str, int]


@dataclass(frozen=True)
class RegistrationFailed:
    """`code` 0: nobody answered or no connection, `reason` says which. It is tried again after
    `retry_seconds`."""

    code: int
    reason: str
    retry_seconds: float


class Registration:
    """One binding at a registrar, kept until `unregister`.

    Refreshed at three quarters of what was granted, and over TCP and TLS as soon as the connection has ended;
    when that fails, at the next address, then again with a backoff of 1 to 60 s."""

    def __init__(self, account: Account, engine: native.Native, key: int) -> None:
        self.account = account
        self.is_registered = False
        self.public_address: tuple[str, int] | None = None
        """Where the registrar sees us (received, rport); differs from ours behind NAT."""
        self._native = engine
        self._key = key
        self._changes: asyncio.Queue[Registered | RegistrationFailed | None] = asyncio.Queue()
        self._gone = asyncio.Event()

    async def changes(self) -> AsyncIterator[Registered | RegistrationFailed]:
        """Each answer, from the first on; of those that were not read the newest 16 are kept. One reader."""
        while (change := await self._changes.get()) is not None:
            yield change

    def renew(self) -> None:
        """Registers now; over TCP and TLS by another connection, for nobody answers on the one that is."""
        self._native.renew(self._key)

    async def unregister(self) -> None:
        """Removes the binding, waiting 2 s at most for the answer, and stops. Twice does no harm."""
        self._native.unregister(self._key)
        await self._gone.wait()

    def happened(self, event: native.Event) -> None:
        """The engine's: something was told of this registration."""
        match event.kind:
            case "registered":
                self.is_registered = True
                if event.headers:
                    host, port = event.headers[0]
                    self.public_address = host, int(port)
                self._tell(Registered(event.token, event.address or ("", 0)))
            case "unregistered":
                self.is_registered = False
                self._tell(RegistrationFailed(event.code, event.text, event.token / 1000))
            case "gone":
                self.abandoned()

    def abandoned(self) -> None:
        """The engine's: nothing more will be told."""
        self.is_registered = False
        self._gone.set()
        self._changes.put_nowait(None)

    def _tell(self, change: Registered | RegistrationFailed) -> None:
        if self._changes.qsize() >= _UNREAD:
            self._changes.get_nowait()
        self._changes.put_nowait(change)
