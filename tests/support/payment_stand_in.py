"""What stands in for a payment provider: it answers as that does, and signs what it tells."""

import hashlib
import hmac
import itertools
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.support.api import Api, Reply

Answer = tuple[int, Any]


@dataclass
class Event:
    """A signed event, ready to be delivered when a test wants."""

    path: str
    header: str
    raw: bytes
    secret: str

    def signed(self, at: float | None = None, secret: str = "") -> dict[str, str]:
        """The header that signs it, as of a moment."""
        stamp = int(time.time() if at is None else at)
        key, is_stripe = (secret or self.secret).encode(), self.header.startswith("Stripe")
        message = f"{stamp}{'.' if is_stripe else ':'}".encode() + self.raw
        made = hmac.new(key, message, hashlib.sha256).hexdigest()
        return {self.header: f"t={stamp},v1={made}" if is_stripe else f"ts={stamp};h1={made}"}

    def deliver(self, api: Api, **how: Any) -> Reply:
        """Post it, signed for this very delivery, as providers do."""
        return api.ask("POST", self.path, raw=self.raw, headers=self.signed(**how))


@dataclass
class StandIn(ABC):
    """What both share: requests seen, things made, numbers given."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_down: bool = False
    declines: bool = False
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _by_key: dict[str, Answer] = field(default_factory=dict)
    _clock: Iterator[int] = field(default_factory=lambda: itertools.count(int(time.time())))

    def new(self, kind: str) -> str:
        """An id that looks like theirs."""
        return f"{kind}_{next(self._number):026d}"

    @abstractmethod
    def answer(self, method: str, path: str, raw: bytes, headers: dict[str, str]) -> Answer:
        """What they would answer."""


@contextmanager
def serving(stand_in: StandIn) -> Iterator[None]:
    """Serve it on this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told = stand_in.answer(self.command, urlsplit(self.path).path, raw, headers)
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
