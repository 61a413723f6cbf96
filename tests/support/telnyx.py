"""Telnyx on this machine: an account behind HTTP, judged by its own SDK in `test_telnyx.py`."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.telnyx_account import KEY, FakeTelnyx, Lost

__all__ = ["KEY", "FakeTelnyx", "telnyx"]


@contextmanager
def telnyx() -> Iterator[FakeTelnyx]:
    """Serve an account on this machine until the block ends."""
    account = FakeTelnyx()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            try:
                status, told = account.answer(
                    self.command,
                    parts.path.removeprefix("/v2"),
                    query,
                    raw,
                    self.headers.get("Authorization", ""),
                    self.headers.get("Idempotency-Key", ""),
                )
            except Lost:
                self.close_connection = True
                return
            more: dict[str, str] = {}
            if isinstance(told, dict) and len(told.get("errors", [])) == 2:
                more = told["errors"].pop()
            body = json.dumps(told).encode()
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that was killed is no error of ours."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    account.url = f"http://127.0.0.1:{server.server_address[1]}/v2"
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
