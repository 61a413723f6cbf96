"""LiveKit's own test-server behind a door of ours: it notes what is asked, and has told what is to fail."""

import contextlib
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import platformdirs
from google.protobuf.message import Message
from livekit.protocol import agent_dispatch, room, sip

from tests.support.ports import free_port

REQUESTS: dict[str, type[Message]] = {
    "SIP/CreateSIPParticipant": sip.CreateSIPParticipantRequest,
    "SIP/TransferSIPParticipant": sip.TransferSIPParticipantRequest,
    "SIP/CreateSIPInboundTrunk": sip.CreateSIPInboundTrunkRequest,
    "SIP/UpdateSIPInboundTrunk": sip.UpdateSIPInboundTrunkRequest,
    "SIP/DeleteSIPTrunk": sip.DeleteSIPTrunkRequest,
    "SIP/CreateSIPDispatchRule": sip.CreateSIPDispatchRuleRequest,
    "SIP/DeleteSIPDispatchRule": sip.DeleteSIPDispatchRuleRequest,
    "AgentDispatchService/CreateDispatch": agent_dispatch.CreateAgentDispatchRequest,
    "RoomService/DeleteRoom": room.DeleteRoomRequest,
}
Mock = Callable[[str, Any], dict[str, Any]]
"""What the test-server is told of a request, by its method and what it asks."""


def binary() -> str:
    """Where the test-server is."""
    cached = Path(platformdirs.user_cache_path("call2me")) / "bin" / "test-server"
    for place in (os.environ.get("CALL2ME_LIVEKIT_TEST_SERVER", ""), str(cached)):
        if place and Path(place).is_file():
            return place
    raise RuntimeError("LiveKit's test-server is not here; `.ci/livekit-mock python` gets it")


class SipServer:
    """`url` is where a livekit-server seems to be; `mock` may be replaced at any time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, Any]] = []
        self.mock: Mock = lambda method, request: {}

    def of(self, method: str) -> list[Any]:
        """What was asked of a method."""
        return [request for name, request in list(self.asked) if name == method]


@contextlib.contextmanager
def running_sip_server(secret: str) -> Iterator[SipServer]:
    """Serve until the block ends."""
    behind, port = free_port(), free_port()
    server = SipServer(f"http://127.0.0.1:{port}")
    command = [binary(), "--ports", str(behind), "--bind", "127.0.0.1", "--api-secret", secret]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass(None, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            method = self.path.removeprefix("/twirp/livekit.")
            kind = REQUESTS.get(method)
            asked = kind.FromString(body) if kind is not None else None
            server.asked.append((method, asked))
            self._pass(body, {"X-Lk-Mock": json.dumps(server.mock(method, asked))})

        def _pass(self, body: bytes | None, more: dict[str, str]) -> None:
            kept = {k: v for k in ("Authorization", "Content-Type") if (v := self.headers.get(k))}
            to = urllib.request.Request(f"http://127.0.0.1:{behind}{self.path}", body, kept | more)
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                    to, timeout=30
                ) as reply:
                    status, kind, told = reply.status, reply.headers.get("Content-Type", ""), reply.read()
            except urllib.error.HTTPError as error:
                status, kind, told = error.code, error.headers.get("Content-Type", ""), error.read()
            except OSError:
                self.close_connection = True  # as the test-server did
                return
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    door = ThreadingHTTPServer(("127.0.0.1", port), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(server.url, timeout=2):  # noqa: S310
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield server
    finally:
        door.shutdown()
        door.server_close()
        process.kill()
        process.wait()
