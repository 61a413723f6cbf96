"""Says in a call's process, and in the agent server's, that it is alive: a Unix socket held open.

End of file without a goodbye is a lost call (`worker.liveness` holds the other end).

        call   ──{"kind": "call", "call_id", "job_id", "attempt", "pid"}──►  supervisor
        call   ◄─{"kind": "hang_up", "call_id", "reason"}──────────────────
        call   ◄─{"kind": "order", "order_id", "call_id", "action", …}─────
        call   ──{"kind": "obeyed", "order_id", "outcome", "message"}─────►
        call   ──{"kind": "goodbye"}──────────────────────────────────────►
        exchange ─{"kind": "exchange", "pid", "why_not", "trunks"}────────►  on change and each second
        exchange ◄{"kind": "dial" | "withdraw" | "take_up" | "hang_up" | "order", …}─
        agents ──{"kind": "agents", "pid", "is_registered", "idle"}───────►  on change and each second

One JSON object a line. `attempt` is 0 until the brief has come; the line is then sent again with it.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipelines.contract.websocket import Dial, HangUp, Obeyed, Order, TakeUp, Withdraw

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 128 * 1024
MAX_UNSENT_BYTES = 64 * 1024
RECONNECT_SECONDS = 0.2
REPORT_SECONDS = 1.0
LOOK_SECONDS = 0.1


class PresenceLine(BaseModel):
    """One line on the socket."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CallHere(PresenceLine):
    """A call runs in this process."""

    kind: Literal["call"] = "call"
    call_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    job_id: str = ""
    attempt: Annotated[int, Field(ge=0, lt=1_000_000)] = 0
    asked: Annotated[int, Field(ge=0)] = 0
    """The attempt that the job was dispatched for, 0 where that is not known."""
    pid: int
    is_on_phone: bool = False
    """On a telephone: only this machine's exchange can hand it to another process."""


class CallOver(PresenceLine):
    """The call ended, and its spool and recording are closed."""

    kind: Literal["goodbye"] = "goodbye"


class AgentsHere(PresenceLine):
    """How the agent server is."""

    kind: Literal["agents"] = "agents"
    pid: int
    is_registered: bool
    """With livekit-server, now: jobs can be offered."""
    idle: Annotated[int, Field(ge=0)]
    """Processes that are warm and wait for a call."""


class ExchangeHere(PresenceLine):
    """How the exchange is."""

    kind: Literal["exchange"] = "exchange"
    pid: int
    why_not: str
    """Why it could take or place no call now; empty when it could."""
    call_ids: tuple[str, ...] = ()
    """Calls that it holds, those that ring too."""
    bridged: tuple[str, ...] = ()
    """Those of them that it has put through to somebody: no process holds them but it."""
    trunks: dict[str, str] = {}
    journal: str = ""
    """Both as `pipelines.contract.websocket.Status` has them."""


_Line = CallHere | CallOver | AgentsHere | ExchangeHere | Obeyed
LINE: TypeAdapter[_Line] = TypeAdapter(Annotated[_Line, Field(discriminator="kind")])
PhoneOrder = Dial | Withdraw | TakeUp | HangUp | Order
PHONE_ORDER: TypeAdapter[PhoneOrder] = TypeAdapter(Annotated[PhoneOrder, Field(discriminator="kind")])
ORDER: TypeAdapter[HangUp | Order] = TypeAdapter(Annotated[HangUp | Order, Field(discriminator="kind")])


# ── in a call's process ──────────────────────────────────────────────────────────────────────────
class _Held:
    """A connection to the supervisor that is made again when it is lost; sends `first` each time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    def _first(self) -> PresenceLine:
        raise NotImplementedError

    def _received(self, line: bytes) -> None:
        """A line came from the supervisor."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._hold(), name="liveness")
        # A supervisor that is not there must not keep a call waiting.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._connected.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _send(self, line: BaseModel) -> None:
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return
        writer.write(line.model_dump_json().encode() + b"\n")

    async def _hold(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_LINE_BYTES)
            except OSError:
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            self._writer = writer
            try:
                self._send(self._first())
                self._connected.set()
                while line := await reader.readline():
                    self._received(line)
            except (OSError, ValueError):
                pass
            finally:
                self._writer = None
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(RECONNECT_SECONDS)


class CallPresence(_Held):
    """Says in a call's process that it is alive, and receives orders.

        async with CallPresence(settings.calls_socket, call_id, job_id) as presence:
            brief = ...
            presence.has_attempt(brief.attempt)
            order = await presence.orders.get()
            ...
        # close the spool before leaving: leaving without an exception says goodbye

    A supervisor that is gone is looked for again in the background; nothing here fails the call.
    """

    def __init__(
        self, path: Path, call_id: str, job_id: str = "", *, asked: int = 0, is_on_phone: bool = False
    ) -> None:
        super().__init__(path)
        self._here = CallHere(
            call_id=call_id, job_id=job_id, asked=asked, pid=os.getpid(), is_on_phone=is_on_phone
        )
        self.orders: asyncio.Queue[HangUp | Order] = asyncio.Queue(maxsize=8)
        """What the api orders; one that does not fit any more is dropped."""

    @property
    def is_on_phone(self) -> bool:
        """A telephone call."""
        return self._here.is_on_phone

    def has_attempt(self, attempt: int) -> None:
        """The brief has come; which attempt at the call this is."""
        self._here = self._here.model_copy(update={"attempt": attempt})
        self._send(self._here)

    def obeyed(self, answer: Obeyed) -> None:
        """Tell what came of an order."""
        self._send(answer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._send(CallOver())
            if (writer := self._writer) is not None:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(1.0):
                        await writer.drain()
        await super().__aexit__(kind, error, trace)

    def _first(self) -> PresenceLine:
        return self._here

    def _received(self, line: bytes) -> None:
        try:
            order = ORDER.validate_json(line)
            self.orders.put_nowait(order)
        except (ValidationError, asyncio.QueueFull):
            logger.warning("an order was dropped", extra={"call_id": self._here.call_id})


class _Reports(_Held):
    """Says how a part is, each second and when it changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._reporting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._reporting = asyncio.create_task(self._report(), name="presence")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    def changed(self) -> None:
        """Say it now."""
        self._send(self._first())

    async def _report(self) -> None:
        said: PresenceLine | None = None
        said_at = 0.0
        while True:
            now = time.monotonic()
            if (line := self._first()) != said or now - said_at >= REPORT_SECONDS:
                said, said_at = line, now
                self._send(line)
            await asyncio.sleep(LOOK_SECONDS)


class ExchangePresence(_Reports):
    """Says in the exchange how it is, and receives orders: whom to dial, whose process to replace."""

    def __init__(self, path: Path, look: Callable[[], ExchangeHere]) -> None:
        super().__init__(path)
        self._look = look
        self.orders: asyncio.Queue[PhoneOrder] = asyncio.Queue(maxsize=256)

    def obeyed(self, answer: Obeyed) -> None:
        """Tell what came of an order."""
        self._send(answer)

    def _first(self) -> PresenceLine:
        return self._look()

    def _received(self, line: bytes) -> None:
        try:
            self.orders.put_nowait(PHONE_ORDER.validate_json(line))
        except (ValidationError, asyncio.QueueFull):
            logger.warning("an order to the exchange was dropped")


class AgentsPresence(_Reports):
    """Says in the agent server's process how it is, each second and when `changed()` is called.

        async with AgentsPresence(settings.calls_socket, lambda: (is_registered(), idle_processes())):
            await server.run()

    GET / of LiveKit's own health server does not do: it says 200 before the first registration and
    while the connection is being made again.
    """

    def __init__(self, path: Path, look: Callable[[], tuple[bool, int]]) -> None:
        super().__init__(path)
        self._look = look

    def _first(self) -> PresenceLine:
        is_registered, idle = self._look()
        return AgentsHere(pid=os.getpid(), is_registered=is_registered, idle=idle)
