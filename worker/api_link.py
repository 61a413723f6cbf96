"""The worker's WebSocket to the api: says who and how this worker is, and takes orders.

        Hello ─► Status, each second and on change ─► (Hello, when it changed) ─► … ─► Goodbye
        ◄─ HangUp, TryFunction, Order, Dial, Withdraw, TakeUp

A link that breaks is made again, for ever; the api calls a worker gone after three seconds of silence.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

import aiohttp
from pydantic import BaseModel, ValidationError

from pipelines.contract.websocket import (
    TO_WORKER,
    Dial,
    FunctionTried,
    Goodbye,
    HangUp,
    Hello,
    Obeyed,
    Order,
    Status,
    TakeUp,
    TryFunction,
    Withdraw,
)

logger = logging.getLogger(__name__)

STATUS_SECONDS = 1.0
CONNECT_SECONDS = 5.0
SEND_SECONDS = 3.0
HEARTBEAT_SECONDS = 4.0
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 1.0
STEADY_SECONDS = 5.0
"""A link that held this long was a good one."""


class ApiLink:
    """Keeps the api told: `run` until `say_goodbye`."""

    def __init__(
        self,
        api_url: str,
        http: aiohttp.ClientSession,
        *,
        hello: Callable[[], Hello],
        status: Callable[[], Status],
        on_hang_up: Callable[[HangUp], None],
        on_try: Callable[[TryFunction], None] = lambda order: None,
        on_order: Callable[[Order], None] = lambda order: None,
        on_phone: Callable[[Dial | Withdraw | TakeUp], None] = lambda order: None,
        on_linked: Callable[[], None] = lambda: None,
    ) -> None:
        """`http` carries the internal key; `hello` and `status` are asked whenever they are sent."""
        self._url = f"{api_url}/internal/worker"
        self._http = http
        self._hello = hello
        self._status = status
        self._on_hang_up = on_hang_up
        self._on_try = on_try
        self._on_order = on_order
        self._on_linked = on_linked
        self._on_phone = on_phone
        self._changed = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._is_leaving = False
        self._is_news = False

    @property
    def is_connected(self) -> bool:
        """True while the api listens."""
        return self._socket is not None and not self._socket.closed

    def changed(self) -> None:
        """The status is not what was last said."""
        self._changed.set()

    def introduce_again(self) -> None:
        """What `Hello` says has changed."""
        self._is_news = True
        self._changed.set()

    async def answer(self, tried: FunctionTried | Obeyed) -> None:
        """Tell what came of an order; an api that is gone meanwhile waits no more."""
        if (socket := self._socket) is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError, RuntimeError, TimeoutError):
                await self._send(socket, tried)

    async def say_goodbye(self) -> None:
        """Tell the api that this worker stops on purpose. Never raises, takes a second at most."""
        self._is_leaving = True
        if (socket := self._socket) is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError, RuntimeError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await socket.send_str(Goodbye().model_dump_json())
                    await socket.close()

    async def run(self) -> None:
        """Hold the link, until this side says goodbye."""
        wait = FIRST_WAIT_SECONDS
        why_before = ""
        while not self._is_leaving:
            why, began = "the link broke", time.monotonic()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    socket = await self._http.ws_connect(
                        self._url, heartbeat=HEARTBEAT_SECONDS, max_msg_size=64 * 1024
                    )
                await self._talk(socket)
            except aiohttp.WSServerHandshakeError as error:
                why = f"status {error.status}"
            except (aiohttp.ClientError, OSError, RuntimeError, TimeoutError) as error:
                why = type(error).__name__
            # An api that answers and then breaks each link is no better than one that does not answer.
            if time.monotonic() - began > STEADY_SECONDS:
                wait, why_before = FIRST_WAIT_SECONDS, ""
            if why != why_before and not self._is_leaving:
                logger.warning("no link to the api, trying again", extra={"why": why})
                why_before = why
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            wait = min(LONGEST_WAIT_SECONDS, wait * 2)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Until either side leaves."""
        self._socket = socket
        try:
            self._is_news = False
            await self._send(socket, self._hello())
            logger.info("linked to the api")
            self._on_linked()
            speaking = asyncio.create_task(self._speak(socket), name="status to the api")
            try:
                await self._listen(socket)
            finally:
                speaking.cancel()
                (ended,) = await asyncio.gather(speaking, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended
        finally:
            await self._close(socket)

    async def _close(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = None
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await socket.close()

    async def _speak(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while True:
                self._changed.clear()
                if self._is_news:
                    self._is_news = False
                    await self._send(socket, self._hello())
                await self._send(socket, self._status())
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the event.
                    async with asyncio.timeout(STATUS_SECONDS):
                        await self._changed.wait()
        except Exception:
            # The listener waits on the same socket and would not notice.
            await socket.close()
            raise

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, frame: BaseModel) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await socket.send_str(frame.model_dump_json())

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                logger.warning("the api sent what is no order")
                continue
            try:
                order = TO_WORKER.validate_json(frame.data)
            except ValidationError:
                # A newer api may order more than we know.
                logger.warning("an order of the api was not understood")
                continue
            if isinstance(order, HangUp):
                self._on_hang_up(order)
            elif isinstance(order, Order):
                self._on_order(order)
            elif isinstance(order, Dial | Withdraw | TakeUp):
                self._on_phone(order)
            else:
                self._on_try(order)
