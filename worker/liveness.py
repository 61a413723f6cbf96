"""Who is alive: a socket held by each call; end of file without a goodbye is a lost call.

What is said on it stands in `worker.presence`. The socket tells within milliseconds; whether a process
that has a spool is really dead, the lock on its spool decides.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pipelines.contract.websocket import HangUp, Obeyed, Order
from worker.presence import (
    LINE,
    MAX_LINE_BYTES,
    AgentsHere,
    CallHere,
    CallOver,
    ExchangeHere,
    PhoneOrder,
)

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 4096
MAX_UNSENT_BYTES = 64 * 1024
FIRST_LINE_SECONDS = 5.0
STALE_SECONDS = 5.0
"""An agent server that has said nothing for this long does not answer."""


@dataclass
class _Connection:
    writer: asyncio.StreamWriter
    here: CallHere | None = None
    agents: AgentsHere | None = None
    exchange: ExchangeHere | None = None
    heard_at: float = 0.0
    """When its part last said how it is."""
    ordered: set[str] = field(default_factory=set)

    def pass_on(self, order: Order | PhoneOrder) -> bool:
        """Hand an order on, once."""
        if self.writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        self.writer.write(order.model_dump_json().encode() + b"\n")
        return True

    def send(self, order: HangUp) -> None:
        # The api repeats an order each second until the call is over; once is enough here.
        if order.reason in self.ordered or self.writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return
        self.ordered.add(order.reason)
        self.writer.write(order.model_dump_json().encode() + b"\n")


class Liveness:
    """Every call of this machine that runs, and how the agent servers are. Callbacks must not block."""

    def __init__(
        self,
        path: Path,
        *,
        on_change: Callable[[], None],
        on_lost: Callable[[CallHere], None],
        on_obeyed: Callable[[Obeyed], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._on_change = on_change
        self._on_lost = on_lost
        self._on_obeyed = on_obeyed
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    @property
    def calls(self) -> dict[str, CallHere]:
        """The calls whose processes are connected, by id."""
        held = (connection.here for connection in self._connections.values())
        return {here.call_id: here for here in held if here is not None}

    @property
    def alive(self) -> dict[str, int]:
        """The newest attempt at each call that holds its socket and has its brief."""
        newest: dict[str, int] = {}
        for here in (connection.here for connection in self._connections.values()):
            if here is not None and here.attempt:
                newest[here.call_id] = max(here.attempt, newest.get(here.call_id, 0))
        return newest

    @property
    def agents(self) -> list[AgentsHere]:
        """What each agent server last said, those that answer."""
        moment = time.monotonic()
        return [
            connection.agents
            for connection in self._connections.values()
            if connection.agents is not None and moment - connection.heard_at < STALE_SECONDS
        ]

    @property
    def exchange(self) -> ExchangeHere | None:
        """What the exchange last said, if it answers."""
        here = self._exchange()
        return here.exchange if here is not None else None

    def _exchange(self) -> _Connection | None:
        moment = time.monotonic()
        here = [one for one in self._connections.values() if one.exchange is not None]
        newest = max(here, key=lambda one: one.heard_at, default=None)
        return newest if newest is not None and moment - newest.heard_at < STALE_SECONDS else None

    def phone_order(self, order: PhoneOrder) -> bool:
        """Pass an order on to the exchange; False when there is none."""
        here = self._exchange()
        return here is not None and here.pass_on(order)

    def is_here(self, call_id: str, attempt: int) -> bool:
        """Whether this attempt at the call holds its socket; one that has no brief yet may be it."""
        return any(here.attempt in (0, attempt) for here in self._of(call_id))

    def _of(self, call_id: str) -> list[CallHere]:
        held = (connection.here for connection in self._connections.values())
        return [here for here in held if here is not None and here.call_id == call_id]

    def hang_up(self, order: HangUp, attempt: int | None = None) -> bool:
        """Pass an order on, to one attempt at a call or to all; False when it is not connected."""
        found = [
            connection
            for connection in self._connections.values()
            if (here := connection.here) is not None
            and here.call_id == order.call_id
            and attempt in (None, here.attempt)
        ]
        for connection in found:
            connection.send(order)
        return bool(found)

    def order(self, order: Order) -> bool:
        """Pass an order on to the newest attempt at the call; False when it is not here.

        One that was put through is the exchange's, also while the process that did it is still ending.
        """
        exchange = self.exchange
        if exchange is not None and order.call_id in exchange.bridged:
            return self.phone_order(order)
        here = [
            connection
            for connection in self._connections.values()
            if connection.here is not None and connection.here.call_id == order.call_id
        ]
        newest = max(here, key=lambda one: one.here.attempt if one.here is not None else 0, default=None)
        return newest is not None and newest.pass_on(order)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take connections as long as this lasts."""
        server = await asyncio.start_unix_server(self._serve, sock=_listen(self._path), limit=MAX_LINE_BYTES)
        try:
            yield
        finally:
            server.close()
            holding = list(self._connections)
            for task in holding:
                task.cancel()
            await asyncio.gather(*holding, return_exceptions=True)
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= MAX_CONNECTIONS:
            logger.error("too many connections on the liveness socket")
            writer.close()
            return
        connection = self._connections[task] = _Connection(writer)
        is_over = False
        try:
            async with asyncio.timeout(FIRST_LINE_SECONDS):
                line = await reader.readline()
            while line and not is_over:
                is_over = self._heard(connection, line)
                line = await reader.readline()
        except TimeoutError:
            logger.warning("a connection to the liveness socket said nothing")
        except ValidationError:
            logger.warning("a connection to the liveness socket was not understood and is closed")
        except (OSError, ValueError):
            # ValueError: a line longer than MAX_LINE_BYTES.
            logger.warning("a connection to the liveness socket broke")
        except asyncio.CancelledError:
            is_over = True
        finally:
            del self._connections[task]
            writer.close()
            self._left(connection, is_over=is_over)

    def _heard(self, connection: _Connection, line: bytes) -> bool:
        """Note what a line says; True for a goodbye."""
        match LINE.validate_json(line):
            case CallHere() as here:
                is_news = connection.here != here
                connection.here = here
                if is_news:
                    self._on_change()
            case AgentsHere() as agents:
                is_news = connection.agents != agents
                connection.agents, connection.heard_at = agents, time.monotonic()
                if is_news:
                    self._on_change()
            case ExchangeHere() as exchange:
                is_news = connection.exchange != exchange
                connection.exchange, connection.heard_at = exchange, time.monotonic()
                if is_news:
                    self._on_change()
            case Obeyed() as answer:
                self._on_obeyed(answer)
            case CallOver():
                return True
        return False

    def _left(self, connection: _Connection, *, is_over: bool) -> None:
        if connection.here is not None and not is_over:
            logger.warning(
                "a call's process is gone without a goodbye",
                extra={"call_id": connection.here.call_id, "child_pid": connection.here.pid},
            )
            self._on_lost(connection.here)
        if connection.here or connection.agents or connection.exchange:
            self._on_change()


def _listen(path: Path) -> socket.socket:
    """Our socket, for nobody else; one left behind by a dead supervisor is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(128)
    listening.setblocking(False)
    return listening
